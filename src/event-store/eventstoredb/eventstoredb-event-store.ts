import { EventStoreDBClient } from '@eventstore/db-client';
import { Logger } from '@nestjs/common';
import { checkAppend } from '../check-append.js';
import {
  categoryOf,
  EventStore,
  type AppendObstacle,
  type AppendResult,
  type Batch,
  type ExpectedRevision,
  type NewEvent,
  type Position,
  type ReadAllOptions,
  type RecordedEvent,
} from '../event-store.js';
import { pause } from '../pause.js';
import { Appender } from './appender.js';
import { Feed } from './feed.js';
import { nameLog, type LogName } from './log-name.js';
import { Reader } from './reader.js';
import { LOG_STREAM, StreamNames } from './stream-names.js';

const RESUBSCRIBE_MS = 250;
/** Shortest time between two batches to a follower at the head, so that a busy log arrives in batches. */
const GATHER_MS = 10;
const READ_BATCH = 1_000;
const SUBSCRIBE_BATCH = 5_000;
const HEAD_BATCH = 32;

/**
 * The production store: EventStoreDB, one node or a cluster, by a connection string.
 *
 * Positions are commit positions. Appends use the client's plain path, one call each. The client's batch path shares a
 * stream of calls: one broken connection rejects every append in flight, and a late reply ends the process. Reads that
 * must see the last write go to the leader.
 */
export class EventStoreDbEventStore extends EventStore {
  private readonly client: EventStoreDBClient;
  private readonly names: StreamNames;
  private readonly reader: Reader;
  private readonly appender: Appender;
  private readonly logger = new Logger('event store');
  private readonly closing = new AbortController();
  private named: Promise<LogName> | undefined;
  /** The highest position known to be in our log. A backward search for the head stops at this position. */
  private known: Position | undefined;

  /** {@link StreamNames} explains `prefix` and `categories`. */
  constructor(connectionString: string, prefix = '', categories?: readonly string[]) {
    super();
    this.client = EventStoreDBClient.connectionString(connectionString);
    // The client takes the plain path if the server doesn't support batches. Per-call credentials would have the same
    // effect, but not with a user certificate.
    Object.defineProperty(this.client, 'supports', { value: async () => false });
    this.names = new StreamNames(prefix, categories);
    this.reader = new Reader(this.client, this.names, this.closing.signal);
    this.appender = new Appender(this.client, this.names, this.reader, this.closing.signal);
  }

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult> {
    checkAppend(events);
    this.names.check(stream);
    await this.name();
    const result = await this.appender.append(stream, expected, events);
    this.see(result.position);
    return result;
  }

  /** Asks the leader, who takes the appends, for the stream of the log's name, which has one event. */
  override async checkAppends(): Promise<AppendObstacle | undefined> {
    await this.reader.stream(LOG_STREAM);
    return undefined;
  }

  async readStream(stream: string): Promise<readonly RecordedEvent[]> {
    return this.reader.stream(stream);
  }

  async *readAll(options: ReadAllOptions = {}): AsyncIterable<readonly RecordedEvent[]> {
    const {
      direction = 'forward',
      from,
      to,
      categories,
      types,
      stream,
      batchSize = READ_BATCH,
      caller,
    } = options;
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
        caller?.throwIfAborted();
        yield found;
        found = [];
      }
      const last = events.at(-1);
      if (direction === 'forward' && to !== undefined && last && last.position >= to) break;
    }
    caller?.throwIfAborted();
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
        const name = await this.name();
        feed = new Feed(
          this.client.subscribeToAll({
            fromPosition: at(from ?? name.position),
            filter: this.names.filter,
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
            .filter((event) => this.names.hasEvent(event))
            .map((event) => this.reader.toEvent(event))
            .filter(({ position }) => from === undefined || position > from);
          from = events.at(-1)?.position ?? from;
          caughtUp ||= reached();
          if (events.length > 0) yield { events, caughtUp };
          if (troubled) this.logger.log(`subscribed again, after position ${from ?? 'none'}`);
          troubled = false;
        }
      } catch (error) {
        if (!troubled)
          this.logger.warn(`the subscription ended (${(error as Error).message}); subscribing again`);
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

  /** The server has no index of times, so the log is read from the end that is nearer in time. */
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
    return (await this.name()).id;
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.client.dispose();
  }

  /** Our events in `$all`, page by page. The log's beginning, or `lowest`, ends a backward read. */
  private async *pages(options: ReadAllOptions, lowest?: Position): AsyncIterable<RecordedEvent[]> {
    const { position: origin } = await this.name();
    yield* this.reader.pages(options, origin, lowest ?? origin);
  }

  private async *streamAsPage(
    stream: string,
    direction: 'forward' | 'backward',
  ): AsyncIterable<RecordedEvent[]> {
    const events = await this.readStream(stream);
    yield direction === 'forward' ? [...events] : events.toReversed();
  }

  private name(): Promise<LogName> {
    this.named ??= nameLog(this.reader, this.appender).catch((error: unknown) => {
      this.named = undefined;
      throw error;
    });
    return this.named;
  }

  private see(position: Position): void {
    if (this.known === undefined || position > this.known) this.known = position;
  }
}

const at = (position: Position) => ({ commit: position, prepare: position });
