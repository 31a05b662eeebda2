import { setTimeout } from 'node:timers/promises';
import {
  BACKWARDS,
  END,
  FORWARDS,
  type EventStoreDBClient,
  type RecordedEvent as EventStoreDbEvent,
  type StreamingRead,
} from '@eventstore/db-client';
import { decode } from '../decode.js';
import {
  EventStoreUnavailable,
  NoSuchPosition,
  type Position,
  type ReadAllOptions,
  type RecordedEvent,
} from '../event-store.js';
import { isNoSuchPosition, isPassing, isStreamNotFound } from './errors.js';
import type { StreamNames } from './stream-names.js';

/** How long a read is tried again through an election or a restart. */
const READ_PATIENCE_MS = 3_000;
/** Longest silence of a server in the middle of a read: a read has no deadline of its own. */
const SILENCE_MS = 5_000;
const RETRY_MS = 100;
const READ_BATCH = 1_000;
/** Fewer events than this are not worth a call. */
const SMALLEST_PAGE = 32;

/** Reads streams and the log, from the leader: whatever was acknowledged is there. */
export class Reader {
  constructor(
    private readonly client: EventStoreDBClient,
    private readonly names: StreamNames,
    private readonly closing: AbortSignal,
  ) {}

  /** All events of a stream, by the name that the server has for it. None if it isn't there. */
  async stream(streamId: string): Promise<RecordedEvent[]> {
    return this.patiently(async () => {
      try {
        const read = this.client.readStream(streamId, { requiresLeader: true });
        return (await this.collect(read)).map((event) => this.toEvent(event));
      } catch (error) {
        if (isStreamNotFound(error)) return [];
        throw error;
      }
    });
  }

  /**
   * The log's events of `$all`, page by page. Others' are passed over.
   * @param lowest going backward, a page at or below it is the last.
   */
  async *pages(
    { direction = 'forward', from, batchSize = READ_BATCH }: ReadAllOptions,
    origin: Position,
    lowest: Position,
  ): AsyncIterable<RecordedEvent[]> {
    const forward = direction === 'forward';
    // Forward, a read from a position begins with the event that has it, and so with one we have already.
    const size = Math.max(batchSize, SMALLEST_PAGE) + 1;
    for (let last = from ?? (forward ? origin : undefined); ;) {
      const start = last;
      const page = await this.patiently(() =>
        this.collect(
          this.client.readAll({
            direction: forward ? FORWARDS : BACKWARDS,
            fromPosition: start === undefined ? END : { commit: start, prepare: start },
            maxCount: size,
            requiresLeader: true,
          }),
        ),
      );
      const ours = page
        .filter(({ streamId }) => this.names.isOurs(streamId))
        .map((event) => this.toEvent(event))
        .filter(({ position }) => !forward || start === undefined || position > start);
      if (ours.length > 0) yield ours;
      last = page.at(-1)?.position?.commit;
      if (page.length < size || last === undefined || (!forward && last <= lowest)) return;
    }
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

  /** @throws if the server falls silent, which a read would otherwise wait out forever. */
  private async collect(
    read: StreamingRead<{ readonly event?: EventStoreDbEvent }>,
  ): Promise<EventStoreDbEvent[]> {
    const events: EventStoreDbEvent[] = [];
    return new Promise((resolve, reject) => {
      const silent = () => {
        read.cancel().catch(() => undefined);
        read.destroy();
        reject(new EventStoreUnavailable(new Error('the server fell silent in the middle of a read')));
      };
      const timer = globalThis.setTimeout(silent, SILENCE_MS);
      read.on('data', ({ event }) => {
        if (event) events.push(event);
        if (events.length % 100 === 0) timer.refresh();
      });
      read.on('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      read.on('end', () => {
        clearTimeout(timer);
        resolve(events);
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
