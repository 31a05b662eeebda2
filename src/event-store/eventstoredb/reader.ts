import { setTimeout } from 'node:timers/promises';
import {
  BACKWARDS,
  END,
  FORWARDS,
  type EventStoreDBClient,
  type RecordedEvent as EventStoreDbEvent,
  type StreamingRead,
} from '@eventstore/db-client';
import { OperatorError } from '../../errors.js';
import { decode } from '../decode.js';
import {
  EventStoreUnavailable,
  NoSuchPosition,
  StreamDeleted,
  type Position,
  type ReadAllOptions,
  type RecordedEvent,
  type StreamRange,
} from '../event-store.js';
import { ReadLimiter } from './read-limiter.js';
import { isAccessDenied, isNoSuchPosition, isPassing, isStreamDeleted, isStreamNotFound } from './errors.js';
import type { StreamNames } from './stream-names.js';

/** How long a read is retried during an election or a restart. */
const READ_PATIENCE_MS = 3_000;
/** Longest silence of the server in the middle of a read. A read has no deadline of its own. */
const SILENCE_MS = 5_000;
const RETRY_MS = 100;
const READ_BATCH = 1_000;
/** Smallest page: fewer events are not worth a call. */
const SMALLEST_PAGE = 32;

/** Reads streams and the log from the leader, so every acknowledged append is visible. */
export class Reader {
  private readonly limiter = new ReadLimiter();

  constructor(
    private readonly client: EventStoreDBClient,
    private readonly names: StreamNames,
    private readonly closing: AbortSignal,
  ) {}

  /** The events of a stream in order; empty if the stream doesn't exist. */
  async stream(stream: string, { after, limit }: StreamRange = {}): Promise<RecordedEvent[]> {
    return this.patiently(async () => {
      try {
        const read = this.client.readStream(this.names.onServer(stream), {
          requiresLeader: true,
          ...(after !== undefined && { fromRevision: after + 1n }),
          ...(limit !== undefined && { maxCount: limit }),
        });
        return (await this.collect(read)).events.map((event) => this.toEvent(event));
      } catch (error) {
        if (isStreamNotFound(error)) return [];
        if (isStreamDeleted(error)) throw new StreamDeleted(stream);
        throw error;
      }
    });
  }

  /**
   * The log's events in `$all`, page by page. Skips events of other logs.
   * @param lowest a backward read ends with the page that reaches this position.
   */
  async *pages(
    { direction = 'forward', from, batchSize = READ_BATCH, caller }: ReadAllOptions,
    origin: Position,
    lowest: Position,
  ): AsyncIterable<RecordedEvent[]> {
    const forward = direction === 'forward';
    // A forward read from a position begins with the event at that position, which the reader already has. So add one.
    const size = Math.max(batchSize, SMALLEST_PAGE) + 1;
    for (let last = from ?? (forward ? origin : undefined); ;) {
      const start = last;
      const read = () =>
        this.collect(
          this.client.readAll({
            direction: forward ? FORWARDS : BACKWARDS,
            fromPosition: start === undefined ? END : { commit: start, prepare: start },
            maxCount: size,
            requiresLeader: true,
          }),
          (event) => this.names.hasEvent(event),
        );
      const page = await this.limiter.run(caller, () => this.patiently(read));
      const ours = page.events
        .map((event) => this.toEvent(event))
        .filter(({ position }) => !forward || start === undefined || position > start);
      if (ours.length > 0) yield ours;
      last = page.last;
      if (page.count < size || last === undefined || (!forward && last <= lowest)) return;
    }
  }

  /** Whether somebody set metadata of a stream, as a soft deletion does. Colophon never does. */
  async hasMetadata(stream: string): Promise<boolean> {
    return this.patiently(async () => {
      try {
        const read = this.client.readStream(`$$${this.names.onServer(stream)}`, { maxCount: 1 });
        return (await this.collect(read)).count > 0;
      } catch (error) {
        if (isStreamNotFound(error)) return false;
        throw error;
      }
    });
  }

  /** @throws OperatorError if the user may not read the log. */
  async checkPermission(from: Position): Promise<void> {
    await this.patiently(async () => {
      try {
        const fromPosition = { commit: from, prepare: from };
        await this.collect(this.client.readAll({ fromPosition, maxCount: 1, requiresLeader: true }));
      } catch (error) {
        if (!isAccessDenied(error)) throw error;
        throw new OperatorError('the user may not read the stream $all: give the user read access to $all');
      }
    });
  }

  toEvent(event: EventStoreDbEvent): RecordedEvent {
    return decode({
      stream: this.names.inLog(event.streamId),
      revision: event.revision,
      position: event.position?.commit ?? 0n,
      id: event.id,
      type: event.type,
      data: event.data,
      metadata: event.metadata,
      recordedAt: event.created,
    });
  }

  /**
   * The events of a read that are wanted, how many there were, and the position of the last one. Other programs' events
   * may be 12 MiB large, so unwanted events are not kept.
   * @throws EventStoreUnavailable if the server falls silent. Otherwise the read would wait forever.
   */
  private async collect(
    read: StreamingRead<{ readonly event?: EventStoreDbEvent }>,
    wanted: (event: EventStoreDbEvent) => boolean = () => true,
  ): Promise<{ events: EventStoreDbEvent[]; count: number; last: Position | undefined }> {
    const events: EventStoreDbEvent[] = [];
    let count = 0;
    let last: Position | undefined;
    return new Promise((resolve, reject) => {
      const silent = () => {
        read.cancel().catch(() => undefined);
        read.destroy();
        reject(new EventStoreUnavailable(new Error('the server fell silent in the middle of a read')));
      };
      const timer = globalThis.setTimeout(silent, SILENCE_MS);
      read.on('data', ({ event }) => {
        timer.refresh();
        if (!event) return;
        count += 1;
        last = event.position?.commit;
        if (wanted(event)) events.push(event);
      });
      read.on('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      read.on('end', () => {
        clearTimeout(timer);
        resolve({ events, count, last });
      });
    });
  }

  private async patiently<T>(read: () => Promise<T>): Promise<T> {
    for (const deadline = Date.now() + READ_PATIENCE_MS; ; await setTimeout(RETRY_MS)) {
      try {
        return await read();
      } catch (error) {
        if (isNoSuchPosition(error)) throw new NoSuchPosition();
        if (error instanceof EventStoreUnavailable) throw error;
        if (!isPassing(error)) throw error;
        if (Date.now() >= deadline || this.closing.aborted) throw new EventStoreUnavailable(error);
      }
    }
  }
}
