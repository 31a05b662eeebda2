import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import {
  BACKWARDS,
  END,
  EventStoreDBClient,
  FORWARDS,
  jsonEvent,
  NO_STREAM,
  streamNameFilter,
  type RecordedEvent as EventStoreDbEvent,
  type StreamingRead,
} from '@eventstore/db-client';
import { Logger } from '@nestjs/common';
import { checkAppend } from '../check-append.js';
import {
  AppendTooLarge,
  categoryOf,
  EventStore,
  EventStoreUnavailable,
  firstRecordedAt,
  MAX_APPEND_BYTES,
  NoSuchPosition,
  RevisionConflict,
  type AppendResult,
  type Batch,
  type EventMetadata,
  type ExpectedRevision,
  type NewEvent,
  type Position,
  type ReadAllOptions,
  type RecordedEvent,
} from '../event-store.js';
import {
  isNoSuchPosition,
  isPassing,
  isStreamNotFound,
  isTooLarge,
  isWrongExpectedVersion,
} from './errors.js';
import { Feed } from './feed.js';
import { pause } from '../pause.js';

/** One try of an append. A frozen server answers nothing; the call ends here. */
const APPEND_DEADLINE_MS = 3_000;
/** How long an append whose outcome is unknown is settled before the caller is told that the store is unavailable. */
const SETTLE_MS = 6_000;
/** How long a read is tried again through an election or a restart. */
const READ_PATIENCE_MS = 3_000;
/** Longest silence of a server in the middle of a read: a read has no deadline of its own. */
const SILENCE_MS = 5_000;
const RETRY_MS = 100;
const RESUBSCRIBE_MS = 250;
/** A follower at the head takes events no more often than this, so that a busy log comes in batches. */
const GATHER_MS = 10;
const READ_BATCH = 1_000;
const SUBSCRIBE_BATCH = 5_000;
const HEAD_BATCH = 32;

const CATEGORIES = ['author', 'book'];
/** The stream that names the log; no category of ours. */
const LOG_STREAM = 'colophon-log';

interface Origin {
  readonly id: string;
  readonly position: Position;
}

/**
 * The production store: EventStoreDB, one node or a cluster, by a connection string.
 *
 * Positions are commit positions. Appends take the client's plain path, one call each: its batch path shares a stream
 * of calls, where one broken connection rejects every append in flight and a late reply ends the process. An error
 * leaves an append's outcome unknown; it is made again with the same event ids, which the server takes for what it
 * is, a repetition. Whatever must see the last write is read from the leader.
 */
export class EventStoreDbEventStore extends EventStore {
  private readonly client: EventStoreDBClient;
  private readonly logger = new Logger('event store');
  private readonly closing = new AbortController();
  private begun: Promise<Origin> | undefined;
  /** The highest position known to be ours: a search for the head from the end of the log stops there. */
  private known: Position | undefined;

  /** @param prefix before every stream's name: several logs can share a server. */
  constructor(
    connectionString: string,
    private readonly prefix = '',
  ) {
    super();
    this.client = EventStoreDBClient.connectionString(connectionString);
    // The client takes the plain path where the server can't batch; per-call credentials would lead there too, but not
    // with a user's certificate.
    Object.defineProperty(this.client, 'supports', { value: async () => false });
  }

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult> {
    checkAppend(events);
    await this.origin();
    const result = await this.write(stream, expected, events);
    this.see(result.position);
    return result;
  }

  private async write(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult> {
    const written = events.map(({ id, type, data, metadata }) =>
      jsonEvent({ id, type, data: { ...data }, metadata: { ...metadata } }),
    );
    const deadline = Date.now() + SETTLE_MS;
    for (let retried = false; ; retried = true) {
      try {
        const append = this.client.appendToStream(this.prefix + stream, written, {
          expectedRevision: expected === 'no-stream' ? NO_STREAM : expected,
          requiresLeader: true,
          deadline: APPEND_DEADLINE_MS,
        });
        // The call's own deadline doesn't count the search for a leader, which can take minutes.
        const { nextExpectedRevision, position } = await within(2 * APPEND_DEADLINE_MS, append);
        if (!position) throw new Error('the server gave no position');
        return { revision: nextExpectedRevision, position: position.commit };
      } catch (error) {
        if (isWrongExpectedVersion(error)) return this.settle(stream, expected, events, retried);
        if (isTooLarge(error)) throw new AppendTooLarge(MAX_APPEND_BYTES);
        if (error instanceof EventStoreUnavailable) throw error;
        if (!isPassing(error)) throw error;
        if (Date.now() >= deadline || this.closing.signal.aborted) throw new EventStoreUnavailable(error);
        await setTimeout(RETRY_MS);
      }
    }
  }

  async readStream(stream: string): Promise<readonly RecordedEvent[]> {
    return this.patiently(() => this.readStreamOnce(stream));
  }

  async *readAll(options: ReadAllOptions = {}): AsyncIterable<readonly RecordedEvent[]> {
    const { direction = 'forward', from, to, categories, types, stream, batchSize = READ_BATCH } = options;
    const wanted = (event: RecordedEvent) =>
      (from === undefined || (direction === 'forward' ? event.position > from : event.position < from)) &&
      (to === undefined || event.position <= to) &&
      (!categories || categories.includes(categoryOf(event.stream))) &&
      (!types || types.includes(event.type));
    let found: RecordedEvent[] = [];
    for await (const events of stream === undefined
      ? this.pages(options)
      : this.streamAsPage(stream, direction)) {
      for (const event of events) {
        if (wanted(event)) found.push(event);
        if (found.length < batchSize) continue;
        yield found;
        found = [];
      }
      const last = events.at(-1);
      if (direction === 'forward' && to !== undefined && last && last.position >= to) break;
    }
    if (found.length > 0) yield found;
  }

  async *subscribe(after: Position | undefined, signal: AbortSignal): AsyncIterable<Batch> {
    const stop = AbortSignal.any([signal, this.closing.signal]);
    let from = after;
    let caughtUp = false;
    let troubled = false;
    while (!stop.aborted) {
      let feed: Feed | undefined;
      try {
        const origin = await this.origin();
        feed = new Feed(
          this.client.subscribeToAll({
            fromPosition: at(from ?? origin.position),
            filter: streamNameFilter({
              prefixes: CATEGORIES.map((category) => `${this.prefix}${category}-`),
            }),
          }),
        );
        const head: Position | undefined = caughtUp ? undefined : await this.head();
        const reached = (): boolean => head === undefined || (from !== undefined && from >= head);
        if (!caughtUp && reached()) {
          caughtUp = true;
          yield { events: [], caughtUp };
        }
        for (let last = 0; ; last = Date.now()) {
          await pause(last + GATHER_MS - Date.now(), stop);
          const taken = await feed.take(SUBSCRIBE_BATCH, stop);
          if (stop.aborted) return;
          const events = taken
            .map((event) => this.toEvent(event))
            .filter(({ position }) => from === undefined || position > from);
          from = events.at(-1)?.position ?? from;
          caughtUp ||= reached();
          if (events.length > 0) yield { events, caughtUp };
          if (troubled) this.logger.log(`subscribed again, after position ${from ?? 'none'}`);
          troubled = false;
        }
      } catch (error) {
        if (!troubled)
          this.logger.warn(`the subscription ended (${(error as Error).message}); it is taken up again`);
        troubled = true;
      } finally {
        feed?.close();
      }
      await pause(RESUBSCRIBE_MS, stop);
    }
  }

  async head(): Promise<Position | undefined> {
    const known = this.known;
    for await (const events of this.pages({ direction: 'backward', batchSize: HEAD_BATCH }, known)) {
      const [last] = events;
      if (last && (known === undefined || last.position > known)) {
        this.see(last.position);
        return last.position;
      }
    }
    return this.known;
  }

  /** The server keeps no index of times: the log is read from the end of it that is nearer in time. */
  async positionAt(time: Date): Promise<Position | undefined> {
    const backward = await this.nearerToEnd(time);
    let found: Position | undefined;
    for await (const events of this.readAll({ direction: backward ? 'backward' : 'forward' })) {
      if (backward) {
        found = events.find((event) => event.recordedAt <= time)?.position;
        if (found !== undefined) return found;
      } else {
        const before = events.findLast((event) => event.recordedAt <= time);
        found = before?.position ?? found;
        if (before !== events.at(-1)) return found;
      }
    }
    return found;
  }

  private async nearerToEnd(time: Date): Promise<boolean> {
    const timeOf = async (direction: 'forward' | 'backward') => {
      for await (const [event] of this.readAll({ direction, batchSize: 1 }))
        return event?.recordedAt.getTime();
      return undefined;
    };
    const [first = 0, last = 0] = [await timeOf('forward'), await timeOf('backward')];
    return last - time.getTime() < time.getTime() - first;
  }

  async logId(): Promise<string> {
    return (await this.origin()).id;
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.client.dispose();
  }

  /** Our events of `$all`, page by page. Others' are passed over; going backward, a page at or below `until` is the last. */
  private async *pages(
    { direction = 'forward', from, batchSize = READ_BATCH }: ReadAllOptions,
    until?: Position,
  ): AsyncIterable<RecordedEvent[]> {
    const forward = direction === 'forward';
    const origin = await this.origin().then(({ position }) => position);
    const lowest = until ?? origin;
    // Forward, a read from a position begins with the event that has it, and so with one we have already.
    const size = Math.max(batchSize, HEAD_BATCH) + 1;
    for (let last = from ?? (forward ? origin : undefined); ;) {
      const start = last;
      const page = await this.patiently(() =>
        this.collect(
          this.client.readAll({
            direction: forward ? FORWARDS : BACKWARDS,
            fromPosition: start === undefined ? END : at(start),
            maxCount: size,
            requiresLeader: true,
          }),
        ),
      );
      const ours = page
        .filter(({ streamId }) => this.isOurs(streamId))
        .map((event) => this.toEvent(event))
        .filter(({ position }) => !forward || start === undefined || position > start);
      if (ours.length > 0) yield ours;
      last = page.at(-1)?.position?.commit;
      if (page.length < size || last === undefined || (!forward && last <= lowest)) return;
    }
  }

  private async *streamAsPage(
    stream: string,
    direction: 'forward' | 'backward',
  ): AsyncIterable<RecordedEvent[]> {
    const events = await this.readStream(stream);
    yield direction === 'forward' ? [...events] : events.toReversed();
  }

  private async readStreamOnce(stream: string): Promise<RecordedEvent[]> {
    try {
      const read = this.client.readStream(this.prefix + stream, { requiresLeader: true });
      return (await this.collect(read)).map((event) => this.toEvent(event));
    } catch (error) {
      if (isStreamNotFound(error)) return [];
      throw error;
    }
  }

  /** @throws where the server falls silent, which a read would otherwise wait out forever. */
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
        if (Date.now() >= deadline || this.closing.signal.aborted) throw new EventStoreUnavailable(error);
      }
    }
  }

  /** The stream is elsewhere: a conflict, unless these very events are what moved it. */
  private async settle(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
    retried: boolean,
  ): Promise<AppendResult> {
    const recorded = await this.readStream(stream);
    const start = expected === 'no-stream' ? 0n : expected + 1n;
    const there = retried ? recorded.slice(Number(start), Number(start) + events.length) : [];
    const last = there.at(-1);
    if (last && events.every((event, index) => event.id === there[index]?.id))
      return { revision: last.revision, position: last.position };
    throw new RevisionConflict(stream, expected, recorded.at(-1)?.revision ?? 'no-stream');
  }

  /** Where the log begins: the event that names it comes before all others. */
  private origin(): Promise<Origin> {
    this.begun ??= this.begin().catch((error: unknown) => {
      this.begun = undefined;
      throw error;
    });
    return this.begun;
  }

  private async begin(): Promise<Origin> {
    for (;;) {
      const [named] = await this.readStream(LOG_STREAM);
      if (named) return { id: (named.data as { id: string }).id, position: named.position };
      const id = randomUUID();
      const metadata: EventMetadata = {
        commandId: id,
        actor: 'colophon',
        correlationId: id,
        causationId: id,
        schemaVersion: 1,
      };
      await this.write(LOG_STREAM, 'no-stream', [{ id, type: 'LogNamed', data: { id }, metadata }]).catch(
        (error: unknown) => {
          // Another process named it first; what it says is read next.
          if (!(error instanceof RevisionConflict)) throw error;
        },
      );
    }
  }

  private isOurs(streamId: string): boolean {
    return CATEGORIES.some((category) => streamId.startsWith(`${this.prefix}${category}-`));
  }

  private see(position: Position): void {
    if (this.known === undefined || position > this.known) this.known = position;
  }

  private toEvent(event: EventStoreDbEvent): RecordedEvent {
    const metadata = event.metadata as unknown as EventMetadata;
    return {
      stream: event.streamId.slice(this.prefix.length),
      revision: event.revision,
      position: event.position?.commit ?? 0n,
      id: event.id,
      type: event.type,
      data: event.data as object,
      metadata,
      recordedAt: firstRecordedAt(metadata, event.created),
    };
  }
}

/** @throws EventStoreUnavailable where it takes longer. */
function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new EventStoreUnavailable(new Error('no answer in time')));
    const timer = globalThis.setTimeout(late, milliseconds);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

const at = (position: Position) => ({ commit: position, prepare: position });
