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
  READ_BATCH,
  StreamDeleted,
  type Position,
  type ReadAllOptions,
  type RecordedEvent,
  type StreamRange,
} from '../event-store.js';
import { ReadLimiter } from './read-limiter.js';
import {
  isNoSuchPosition,
  isPassing,
  isStreamDeleted,
  isStreamNotFound,
  outage,
  READ_ALL,
} from './errors.js';
import { sizeOf } from '../size.js';
import type { StreamNames } from './stream-names.js';
import { bytesReceived } from './wire.js';

/** How long a read is retried during an election or a restart. */
const READ_PATIENCE_MS = 3_000;
/** Longest silence of the server in the middle of a read. A read has no deadline of its own. */
const SILENCE_MS = 5_000;
/** Longest wait for the next event of a read while other data arrives, such as a part of an event of 12 MiB. */
const STALL_MS = 60_000;
const LISTEN_MS = 500;
const RETRY_MS = 100;
/** Events of the first page, and of the smallest: a forward read gets one event that the reader already has. */
const FIRST_PAGE = 32;
const SMALLEST_PAGE = 2;
/** Bytes that a page should have, and how much larger a page may be than the page before. */
const PAGE_BYTES = 8 * 1_048_576;
const MAX_GROWTH = 4;
/** Positions are places in bytes. A read costs as much as the bytes of some small events that nobody wants. */
const CLOSE_BYTES = 4_096n;
/** Reads at a time, where events are small. Each gives no more events than a first page. */
const READS_AT_ONCE = 4;

/** Reads streams and the log from the leader, so every acknowledged append is visible. */
export class Reader {
  private readonly limiter = new ReadLimiter();

  constructor(
    private readonly client: EventStoreDBClient,
    private readonly names: StreamNames,
    private readonly closing: AbortSignal,
  ) {}

  /**
   * The events of a stream in order; empty if the stream doesn't exist.
   * @throws StreamDeleted also if the stream was soft-deleted: the server then says that it doesn't exist.
   */
  async stream(stream: string, { after, limit }: StreamRange = {}): Promise<RecordedEvent[]> {
    return this.patiently(
      async () => {
        try {
          const read = this.client.readStream(this.names.onServer(stream), {
            requiresLeader: true,
            ...(after !== undefined && { fromRevision: after + 1n }),
            ...(limit !== undefined && { maxCount: limit }),
          });
          return (await this.collect(read)).events.map((event) => this.toEvent(event));
        } catch (error) {
          if (isStreamNotFound(error)) {
            if (deletes(await this.metadataOf(stream))) throw new StreamDeleted(stream);
            return [];
          }
          if (isStreamDeleted(error)) throw new StreamDeleted(stream);
          throw error;
        }
      },
      `read the stream ${this.names.onServer(stream)}`,
    );
  }

  /**
   * The log's events in `$all`, page by page. Skips events of other logs. Events may be 12 MiB large, so the first page
   * is small. The size of a page tells how many events the next page has.
   * @param origin the log's beginning, which ends a backward read.
   */
  async *pages(
    { direction = 'forward', from, batchSize = READ_BATCH, caller }: ReadAllOptions,
    origin: Position,
  ): AsyncIterable<RecordedEvent[]> {
    const forward = direction === 'forward';
    // A forward read from a position begins with the event at that position, which the reader already has. So add one.
    const largest = Math.max(batchSize, FIRST_PAGE) + 1;
    let size = FIRST_PAGE + 1;
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
      if (page.count < size || last === undefined || (!forward && last <= origin)) return;
      const growth = Math.min(MAX_GROWTH, PAGE_BYTES / page.bytes);
      size = Math.max(SMALLEST_PAGE, Math.min(largest, Math.floor(size * growth)));
    }
  }

  /**
   * The events at these positions, in this order. Positions close to each other share a read, which may bring events
   * between them too.
   */
  async *at(
    positions: readonly Position[],
    caller: AbortSignal | undefined,
  ): AsyncIterable<readonly RecordedEvent[]> {
    const rising = (positions[0] ?? 0n) <= (positions.at(-1) ?? 0n);
    const groups = groupsOf(rising ? positions : positions.toReversed());
    if (!rising) groups.reverse();
    for (let next = 0, atOnce = 1; next < groups.length;) {
      const found: RecordedEvent[] = [];
      for (let bytes = 0; next < groups.length && bytes < PAGE_BYTES;) {
        const before = bytes;
        const together = groups.slice(next, next + atOnce);
        const read = () => Promise.all(together.map((group) => this.group(group)));
        for (const page of await this.limiter.run(caller, read)) {
          found.push(...(rising ? page.events : page.events.toReversed()));
          bytes += page.bytes;
        }
        next += together.length;
        atOnce = (bytes - before) / together.length < PAGE_BYTES / READS_AT_ONCE ? READS_AT_ONCE : 1;
      }
      if (found.length > 0) yield found;
    }
  }

  /** The events at positions close to each other, in rising order. */
  private async group(positions: readonly Position[]): Promise<{ events: RecordedEvent[]; bytes: number }> {
    const wanted = new Set(positions);
    const events: RecordedEvent[] = [];
    let bytes = 0;
    for (let rest = positions; rest.length > 0;) {
      const [first = 0n] = rest;
      const page = await this.patiently(() =>
        this.collect(
          this.client.readAll({
            fromPosition: { commit: first, prepare: first },
            maxCount: rest.length,
            requiresLeader: true,
          }),
          (event) => event.position !== undefined && wanted.has(event.position.commit),
        ),
      );
      events.push(...page.events.map((event) => this.toEvent(event)));
      bytes += page.bytes;
      // An event that was scavenged is not there: the read began with a later event.
      const last = page.last === undefined || page.last < first ? first : page.last;
      rest = rest.filter((position) => position > last);
    }
    return { events, bytes };
  }

  /**
   * The id of the event at a position, whoever wrote the event; undefined if there is none.
   * @returns `scavenged` if the server gives a later event: the log has the place, but the event was deleted.
   */
  async idAt(position: Position): Promise<string | undefined> {
    const fromPosition = { commit: position, prepare: position };
    try {
      const { events } = await this.patiently(() =>
        this.collect(this.client.readAll({ fromPosition, maxCount: 1, requiresLeader: true })),
      );
      const [event] = events;
      return event && event.position?.commit !== position ? 'scavenged' : event?.id;
    } catch (error) {
      if (error instanceof NoSuchPosition) return undefined;
      throw error;
    }
  }

  /** Metadata that somebody set of a stream, as a soft deletion does; undefined if nobody did. Colophon never does. */
  async metadataOf(stream: string): Promise<unknown> {
    const metadata = `$$${this.names.onServer(stream)}`;
    return this.patiently(async () => {
      try {
        const read = this.client.readStream(metadata, {
          direction: BACKWARDS,
          fromRevision: END,
          maxCount: 1,
          requiresLeader: true,
        });
        return (await this.collect(read)).events[0]?.data;
      } catch (error) {
        if (isStreamNotFound(error)) return undefined;
        throw error;
      }
    }, `read the stream ${metadata}`);
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
   * The events of a read that are wanted, and of all its events the number, the bytes and the last position. Other
   * programs' events may be 12 MiB large, so unwanted events are not kept.
   * @throws EventStoreUnavailable if the server falls silent. Otherwise the read would wait forever.
   */
  private async collect(
    read: StreamingRead<{ readonly event?: EventStoreDbEvent }>,
    wanted: (event: EventStoreDbEvent) => boolean = () => true,
  ): Promise<{ events: EventStoreDbEvent[]; count: number; bytes: number; last: Position | undefined }> {
    const events: EventStoreDbEvent[] = [];
    let count = 0;
    let bytes = 0;
    let last: Position | undefined;
    return new Promise((resolve, reject) => {
      let received = bytesReceived();
      let heardAt = performance.now();
      let eventAt = heardAt;
      const listen = () => {
        const before = received;
        received = bytesReceived();
        if (received !== before) heardAt = performance.now();
        if (performance.now() - heardAt < SILENCE_MS && performance.now() - eventAt < STALL_MS) return;
        clearInterval(timer);
        read.cancel().catch(() => undefined);
        read.destroy();
        reject(new EventStoreUnavailable(new Error('the server fell silent in the middle of a read')));
      };
      const timer = setInterval(listen, LISTEN_MS);
      read.on('data', ({ event }) => {
        eventAt = performance.now();
        if (!event) return;
        count += 1;
        bytes += sizeOf(event.data) + sizeOf(event.metadata);
        last = event.position?.commit;
        if (wanted(event)) events.push(event);
      });
      read.on('error', (error) => {
        clearInterval(timer);
        reject(error);
      });
      read.on('end', () => {
        clearInterval(timer);
        resolve({ events, count, bytes, last });
      });
    });
  }

  /**
   * Repeats a read during an outage of 3 seconds at most.
   * @param permission that the read needs.
   */
  async patiently<T>(read: () => Promise<T>, permission = READ_ALL): Promise<T> {
    for (const deadline = performance.now() + READ_PATIENCE_MS; ; await setTimeout(RETRY_MS)) {
      try {
        return await read();
      } catch (error) {
        if (isNoSuchPosition(error)) throw new NoSuchPosition();
        if (error instanceof EventStoreUnavailable) throw error;
        if (!isPassing(error)) throw error;
        if (performance.now() >= deadline || this.closing.aborted) throw outage(error, permission);
      }
    }
  }
}

/** Groups of positions in rising order that are close to each other. */
function groupsOf(positions: readonly Position[]): Position[][] {
  const groups: Position[][] = [];
  for (const position of positions) {
    const group = groups.at(-1);
    const last = group?.at(-1);
    if (group && last !== undefined && group.length < FIRST_PAGE && position - last <= CLOSE_BYTES)
      group.push(position);
    else groups.push([position]);
  }
  return groups;
}

/** Whether metadata of a stream hides events by their revision or their age. */
const deletes = (metadata: unknown): boolean =>
  typeof metadata === 'object' && metadata !== null && ('$tb' in metadata || '$maxAge' in metadata);
