import { setTimeout } from 'node:timers/promises';
import { eventTypeFilter, EventStoreDBClient, type AllStreamSubscription } from '@eventstore/db-client';
import { Logger } from '@nestjs/common';
import { checkAppend } from '../check-append.js';
import { sameCommand, WholeAppends } from '../appends.js';
import { partsOf, PASSING_MS, TimesOfLog } from '../as-of-time.js';
import {
  AnotherLog,
  categoryOf,
  EventStore,
  EventStoreUnavailable,
  NoSuchPosition,
  READ_BATCH,
  StreamDeleted,
  SUBSCRIBE_BATCH,
  TROUBLE_MS,
  UserRefused,
  type AppendObstacle,
  type AppendResult,
  type Batch,
  type Deletion,
  type ExpectedRevision,
  type NewEvent,
  type Position,
  type ReadAllOptions,
  type RecordedEvent,
  type StreamRange,
} from '../event-store.js';
import { pause } from '../pause.js';
import { sizeOf } from '../size.js';
import { told } from '../told.js';
import { Appender, SETTLE_MS } from './appender.js';
import { outage, READ_ALL } from './errors.js';
import { Feed } from './feed.js';
import { nameLog, readName, type LogName } from './log-name.js';
import { Reader } from './reader.js';
import { StreamNames } from './stream-names.js';

const RESUBSCRIBE_MS = 250;
/** Shortest time between two batches to a follower at the head, so that a busy log arrives in batches. */
const GATHER_MS = 10;
/** A batch ends with the event that exceeds this size, because the events of a batch may have 1 MiB each. */
const BATCH_BYTES = 8 * 1_048_576;
const HEAD_BATCH = 32;
/** How long the log's name holds without another look. A server can't be stopped, emptied and started in less. */
const NAME_HOLDS_MS = 500;
/** Longest time to read on to the head. What was read by then need not be read again. */
const HEAD_MS = 10_000;
/** How long a refused append counts as a sign that the next would be refused. Nothing else tells, without a write. */
const REFUSED_MS = 10_000;
/** By then, an append is visible that the server has dated. */
const SETTLED_MS = 100;
/** Events of a stream that one read adds to a batch that ended in the middle of an append. */
const REST = 100;
/** The server's own events that delete events of a stream: its metadata, and its tombstone. */
const DELETING_TYPES = ['$metadata', '$streamDeleted'];

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
  /** The log that this store was opened with. */
  private opened: LogName | undefined;
  /** Why the server refused the last append, and when. */
  private refused: { readonly error: UserRefused; readonly at: number } | undefined;
  private lookedUp: { readonly name: Promise<LogName>; readonly at: number } | undefined;
  /** By how many milliseconds this machine's clock is ahead of the server's; undefined until a live event shows it. */
  private lead: number | undefined;
  /** The last append of this process, which shows the same, and when it was done by this machine's clock. */
  private appended: { readonly stream: string; readonly revision: bigint; readonly at: number } | undefined;
  private readonly times = new TimesOfLog({
    parts: (from) => partsOf(this.readAll({ from })),
    times: (from, to) => this.readAll({ from, to }),
    holds: (position, id) => this.holds(position, id),
  });
  /** The highest position known to be in our log. */
  private known: Position | undefined;
  /** The place up to which the log was searched: it has no event of ours between {@link known} and here. */
  private searched: Position | undefined;

  /** {@link StreamNames} explains `prefix` and `categories`. */
  constructor(connectionString: string, prefix = '', categories?: readonly string[]) {
    super();
    this.client = EventStoreDBClient.connectionString(connectionString);
    // The client takes the plain path if the server doesn't support batches. Per-call credentials would have the same
    // effect, but not with a user certificate.
    Object.defineProperty(this.client, 'supports', { value: async () => false });
    this.names = new StreamNames(prefix, categories);
    this.reader = new Reader(this.client, this.names, this.closing.signal);
    const sameLog = async (since: number) => {
      if (this.opened) await this.name(since);
    };
    this.appender = new Appender(this.client, this.names, this.reader, sameLog, this.closing.signal);
  }

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult> {
    checkAppend(events);
    this.names.check(stream);
    const deadline = performance.now() + SETTLE_MS;
    return told(events, async () => {
      await this.name();
      try {
        const result = await this.appender.append(stream, expected, events, deadline);
        this.see(result.position);
        this.refused = undefined;
        this.appended = { stream, revision: result.revision, at: Date.now() };
        return result;
      } catch (error) {
        if (error instanceof UserRefused) this.refused = { error, at: performance.now() };
        throw error;
      }
    });
  }

  /**
   * Asks the leader, who takes the appends, for the log's name.
   * @throws UserRefused if the last append was refused, and not long ago.
   */
  override async checkAppends(): Promise<AppendObstacle | undefined> {
    await this.name();
    if (this.refused && performance.now() - this.refused.at < REFUSED_MS) throw this.refused.error;
    return undefined;
  }

  async readStream(stream: string, range?: StreamRange): Promise<readonly RecordedEvent[]> {
    await this.name();
    return this.reader.stream(stream, range);
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
    let bytes = 0;
    for await (const events of stream === undefined
      ? this.pages(options)
      : this.streamAsPage(stream, direction)) {
      for (const event of events) {
        if (!wanted(event)) continue;
        found.push(event);
        bytes += sizeOf(event.data) + sizeOf(event.metadata);
        if (found.length < batchSize && bytes < BATCH_BYTES) continue;
        caller?.throwIfAborted();
        yield found;
        found = [];
        bytes = 0;
      }
      const last = events.at(-1);
      if (direction === 'forward' && to !== undefined && last && last.position >= to) break;
    }
    caller?.throwIfAborted();
    if (found.length > 0) yield found;
  }

  async *readAt(
    positions: readonly Position[],
    caller?: AbortSignal,
  ): AsyncIterable<readonly RecordedEvent[]> {
    await this.name();
    yield* this.reader.at(positions, caller);
  }

  async *subscribe(after: Position | undefined, signal: AbortSignal, id?: string): AsyncIterable<Batch> {
    const stop = AbortSignal.any([signal, this.closing.signal]);
    let from = after;
    let lastId = id;
    let caughtUp = false;
    let troubledSince: number | undefined;
    while (!stop.aborted) {
      let feed: Feed | undefined;
      try {
        const name = await this.name();
        if (from !== undefined && lastId !== undefined && !(await this.holds(from, lastId)))
          throw AnotherLog.withoutEvent(from, lastId);
        feed = this.feedFrom(from ?? name.position, (_, created) => {
          if (caughtUp) this.learn(created, Date.now());
        });
        const appends = new WholeAppends();
        for (let takenAt = 0; ; takenAt = performance.now()) {
          await pause(takenAt + GATHER_MS - performance.now(), stop);
          const taken = await feed.take(SUBSCRIBE_BATCH, BATCH_BYTES, stop);
          if (stop.aborted) return;
          const read = taken.events
            .filter((event) => this.names.hasEvent(event))
            .map((event) => this.reader.toEvent(event))
            .filter(({ position }) => from === undefined || position > from);
          const events = appends.take(taken.more ? read : await this.withRest(read), !taken.more);
          const news = taken.caughtUp && !caughtUp;
          caughtUp ||= taken.caughtUp;
          ({ position: from, id: lastId } = events.at(-1) ?? { position: from, id: lastId });
          if (events.length > 0 || news) yield { events, caughtUp };
          if (troubledSince !== undefined)
            this.logger.log(`subscribed again, after position ${from ?? 'none'}`);
          troubledSince = undefined;
        }
      } catch (error) {
        if (error instanceof AnotherLog) throw error;
        this.forget();
        const trouble = outage(error, READ_ALL);
        const { message } = (trouble.cause ?? trouble) as Error;
        if (troubledSince === undefined)
          this.logger.warn(`the subscription ended (${message}); subscribing again`);
        troubledSince ??= performance.now();
        if (performance.now() - troubledSince >= TROUBLE_MS) throw trouble;
      } finally {
        feed?.close();
      }
      await pause(RESUBSCRIBE_MS, stop);
    }
  }

  async holds(position: Position, id: string): Promise<boolean> {
    const found = await this.reader.idAt(position);
    const held = found === id || found === 'scavenged';
    if (held) this.see(position);
    else this.forget();
    return held;
  }

  /**
   * Reads on from the place up to which this process knows the log. The server leaves out what other programs wrote.
   * Without such a place, searches backward from the end, past the events of other programs.
   */
  async head(): Promise<Position | undefined> {
    await this.name();
    try {
      const found = await this.reader.patiently(() => this.readOn());
      if (found) return found.head;
    } catch (error) {
      if (!(error instanceof NoSuchPosition)) throw error;
      this.forget();
    }
    for await (const [last] of this.pages({ direction: 'backward', batchSize: HEAD_BATCH })) {
      if (last) this.see(last.position);
      return last?.position;
    }
    this.searched ??= (await this.name()).position;
    return undefined;
  }

  override async *deletions(): AsyncIterable<Deletion> {
    const { position: origin } = await this.name();
    const streams = new Set<string>();
    const feed = new Feed(
      this.client.subscribeToAll({
        fromPosition: at(origin),
        filter: eventTypeFilter({ prefixes: DELETING_TYPES }),
        requiresLeader: true,
      }),
      ({ streamId }) => {
        const stream = streamId.replace(/^\$\$/, '');
        if (this.names.isOurs(stream)) streams.add(this.names.inLog(stream));
      },
    );
    try {
      while (!(await feed.take(SUBSCRIBE_BATCH, BATCH_BYTES, this.closing.signal)).caughtUp)
        this.closing.signal.throwIfAborted();
    } finally {
      feed.close();
    }
    for (const stream of streams) {
      const events = await this.reader.stream(stream, { limit: 1 }).catch((error: unknown) => {
        if (error instanceof StreamDeleted) return undefined;
        throw error;
      });
      const first = events?.[0]?.revision;
      if (!events || (first ?? 0n) > 0n) yield { stream, first };
    }
  }

  /**
   * The server doesn't tell its time. This machine's clock does, corrected by what live events and appends show. The last
   * event of the log tells of a time that has passed too.
   */
  async hasPassed(time: Date): Promise<boolean> {
    if (this.lead === undefined && this.appended) {
      const { stream, revision, at } = this.appended;
      const [event] = await this.readStream(stream, { after: revision - 1n, limit: 1 }).catch(noneIfDeleted);
      if (event) this.learn(event.recordedAt, at);
    }
    const left = () => time.getTime() + SETTLED_MS - (Date.now() - (this.lead ?? 0));
    if (left() > 0 && left() <= PASSING_MS) await setTimeout(left());
    if (left() <= 0) return true;
    for await (const [last] of this.readAll({ direction: 'backward', batchSize: 1 }))
      return last !== undefined && last.recordedAt >= time;
    return false;
  }

  positionAt(time: Date): Promise<Position | undefined> {
    return this.times.positionAt(time);
  }

  async logId(): Promise<string> {
    return (await this.name()).id;
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.client.dispose();
  }

  /**
   * The events, and the rest of the last one's append, which the server may not have sent yet. An append is visible as a
   * whole.
   */
  private async withRest(events: readonly RecordedEvent[]): Promise<readonly RecordedEvent[]> {
    const all = [...events];
    for (let last = all.at(-1), more = true; last && more; last = all.at(-1)) {
      const before = all.length;
      const range = { after: last.revision, limit: REST };
      const next = await this.reader.stream(last.stream, range).catch(noneIfDeleted);
      for (const event of next) {
        const end = all.at(-1);
        if (!end || !sameCommand(end, event)) break;
        all.push(event);
      }
      more = all.length === before + REST;
    }
    return all;
  }

  /** Our events in `$all`, page by page. The log's beginning ends a backward read. */
  private async *pages(options: ReadAllOptions): AsyncIterable<RecordedEvent[]> {
    const { position: origin } = await this.name();
    yield* this.reader.pages(options, origin);
  }

  private async *streamAsPage(
    stream: string,
    direction: 'forward' | 'backward',
  ): AsyncIterable<RecordedEvent[]> {
    const events = await this.readStream(stream);
    yield direction === 'forward' ? [...events] : events.toReversed();
  }

  /**
   * The log's name.
   * @param notBefore looked up again if this process looked before; default: half a second ago.
   * @throws AnotherLog if the server has another log than at first, or none.
   */
  private name(notBefore = performance.now() - NAME_HOLDS_MS): Promise<LogName> {
    if (this.lookedUp && this.lookedUp.at >= notBefore) return this.lookedUp.name;
    const name = this.lookUpName();
    const lookedUp = { name, at: performance.now() };
    this.lookedUp = lookedUp;
    name.catch(() => {
      if (this.lookedUp === lookedUp) this.lookedUp = undefined;
    });
    return name;
  }

  private async lookUpName(): Promise<LogName> {
    if (!this.opened) return (this.opened = await nameLog(this.reader, this.appender));
    const found = await readName(this.reader);
    if (found?.id === this.opened.id) return this.opened;
    this.forget();
    throw AnotherLog.named(found?.id, this.opened.id);
  }

  /** Forgets what is known of the log, because the server may come back with another. */
  private forget(): void {
    this.lookedUp = undefined;
    this.known = undefined;
    this.searched = undefined;
  }

  /** @param at when an event that was just recorded was known here. */
  private learn(recordedAt: Date, at: number): void {
    this.lead = Math.min(this.lead ?? Infinity, at - recordedAt.getTime());
  }

  private see(position: Position): void {
    if (this.known === undefined || position > this.known) this.known = position;
    if (this.searched === undefined || position > this.searched) this.searched = position;
  }

  /**
   * A subscription to our events after a position. Its events and checkpoints tell how far the log was searched.
   * @param onOurs called with position and time of each of our events, on arrival.
   */
  private feedFrom(from: Position, onOurs?: (position: Position, created: Date) => void): Feed {
    const checkpointReached = (
      { readableLength }: AllStreamSubscription,
      { commit }: { commit: Position },
    ) => {
      const { searched } = this;
      // The client reports a checkpoint ahead of the events that it still holds.
      if (readableLength > 0 || searched === undefined || searched < from) return;
      if (commit > searched) this.searched = commit;
    };
    return new Feed(
      this.client.subscribeToAll({
        fromPosition: at(from),
        filter: { ...this.names.filter, checkpointReached },
        requiresLeader: true,
      }),
      (event) => {
        if (!this.names.hasEvent(event) || !event.position) return;
        this.see(event.position.commit);
        onOurs?.(event.position.commit, event.created);
      },
    );
  }

  /**
   * Reads from the place up to which the log was searched to its end.
   * @returns undefined if there is no such place.
   */
  private async readOn(): Promise<{ readonly head: Position | undefined } | undefined> {
    // Kept here, because a lost connection makes this process forget both.
    const { searched } = this;
    let head = this.known;
    if (searched === undefined) return undefined;
    const stop = AbortSignal.any([AbortSignal.timeout(HEAD_MS), this.closing.signal]);
    const feed = this.feedFrom(searched, (position) => (head = position));
    try {
      while (!(await feed.take(SUBSCRIBE_BATCH, BATCH_BYTES, stop)).caughtUp)
        if (stop.aborted)
          throw new EventStoreUnavailable(new Error('the head of the log was not reached in time'));
      return { head };
    } finally {
      feed.close();
    }
  }
}

function noneIfDeleted(error: unknown): never[] {
  if (error instanceof StreamDeleted) return [];
  throw error;
}

const at = (position: Position) => ({ commit: position, prepare: position });
