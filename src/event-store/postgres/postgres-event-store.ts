import { setTimeout } from 'node:timers/promises';
import type DataLoader from 'dataloader';
import type { Pool } from 'pg';
import { batching } from '../../postgres/batching.js';
import { createPool } from '../../postgres/database.js';
import { isUnavailable } from '../../postgres/errors.js';
import { POOLS } from '../../postgres/pools.js';
import {
  EventStore,
  EventStoreUnavailable,
  READ_BATCH,
  SUBSCRIBE_BATCH,
  TROUBLE_MS,
  type AppendObstacle,
  type AppendResult,
  type Batch,
  type ExpectedRevision,
  type NewEvent,
  type Position,
  type ProjectableEvent,
  type ReadAllOptions,
  type RecordedEvent,
  type StreamRange,
} from '../event-store.js';
import { WholeAppends } from '../appends.js';
import { PASSING_MS, TimesOfLog } from '../as-of-time.js';
import { sortedByStream } from '../by-stream.js';
import { checkAppend } from '../check-append.js';
import { pause } from '../pause.js';
import { told } from '../told.js';
import { GroupCommit } from './group-commit.js';
import {
  findPages,
  PageSize,
  readClock,
  readHead,
  readIdAt,
  readLogId,
  readPage,
  readPageAfter,
  readParts,
  readPositions,
  readRange,
  readStreams,
  readTimes,
  type Page,
} from './log-reader.js';
import { WakeUp } from './wake-up.js';

/** Shortest time between two reads of a follower at the head. With many writers, a read per event slows writers. */
const GATHER_MS = 10;
/** Longest wait for a wake-up before a follower reads anyway. */
const POLL_MS = 500;
/** Time between attempts while the server is unavailable. */
const RETRY_MS = 250;
/** The first page of a follower. The events may be large, and the server looks at the size of each. */
const FIRST_BATCH = 320;
/** Largest number of streams read by one statement. */
const MAX_STREAMS = 500;

/** The embedded default: the log as a table in PostgreSQL 15 or newer. The caller migrates the database first. */
export class PostgresEventStore extends EventStore {
  private readonly commands: Pool;
  private readonly followers: Pool;
  private readonly feeds: Pool;
  private readonly writer: GroupCommit;
  private readonly wakeUp: WakeUp;
  private readonly streams: DataLoader<string, RecordedEvent[]>;
  private readonly callersStreams: DataLoader<string, RecordedEvent[]>;
  private readonly times: TimesOfLog;

  constructor(private readonly connectionString: string) {
    super();
    this.commands = createPool(connectionString, POOLS.commands);
    this.followers = createPool(connectionString, POOLS.followers);
    this.feeds = createPool(connectionString, POOLS.feeds);
    this.wakeUp = new WakeUp(connectionString, this.commands);
    this.writer = new GroupCommit(connectionString, () => this.wakeUp.appended());
    this.streams = batching((names) => readStreams(this.commands, names), MAX_STREAMS);
    this.times = new TimesOfLog({
      parts: (after) => readParts(this.followers, after),
      times: (after, to) => readTimes(this.followers, after, to),
      holds: (position, id) => this.holds(position, id),
    });
    this.callersStreams = batching((names) => readStreams(this.feeds, names), MAX_STREAMS);
  }

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult> {
    checkAppend(events);
    return told(events, () => this.writer.append(stream, expected, events));
  }

  override async checkAppends(): Promise<AppendObstacle | undefined> {
    return available(() => this.writer.check());
  }

  readStream(stream: string, range: StreamRange = {}): Promise<readonly RecordedEvent[]> {
    const { after, limit, caller } = range;
    if (after === undefined && limit === undefined)
      return available(() => (caller ? this.callersStreams : this.streams).load(stream));
    return available(() => readRange(caller ? this.feeds : this.commands, stream, range));
  }

  async *readAll(options: ReadAllOptions = {}): AsyncIterable<readonly RecordedEvent[]> {
    const { batchSize = READ_BATCH, direction = 'forward', types, categories, stream, caller } = options;
    const pool = caller ? this.feeds : this.followers;
    if ((types ?? categories) && stream === undefined && direction === 'forward') {
      const pages = findPages(pool, options, batchSize)[Symbol.asyncIterator]();
      for (;;) {
        const page = await available(() => pages.next());
        if (page.done) return;
        yield page.value;
      }
    }
    const size = new PageSize(batchSize);
    for (let from = options.from, more = true; more;) {
      const page = await available(() => readPage(pool, { ...options, from }, size));
      if (page.events.length > 0) yield page.events;
      from = page.events.at(-1)?.position;
      ({ more } = page);
    }
  }

  async *readAt(
    positions: readonly Position[],
    caller?: AbortSignal,
  ): AsyncIterable<readonly RecordedEvent[]> {
    const pool = caller ? this.feeds : this.followers;
    for (let rest = positions; rest.length > 0;) {
      const events = await available(() => readPositions(pool, rest, caller));
      if (events.length > 0) yield events;
      const last = events.at(-1)?.position;
      rest = last === undefined ? [] : rest.slice(rest.indexOf(last) + 1);
    }
  }

  async *subscribe(after: Position | undefined, signal: AbortSignal, id?: string): AsyncIterable<Batch> {
    let from = after;
    let lastId = id;
    let caughtUp = false;
    let lastRead = 0;
    let troubledSince: number | undefined;
    const size = new PageSize(SUBSCRIBE_BATCH, FIRST_BATCH);
    const appends = new WholeAppends();
    const read = () => ({
      ticket: this.wakeUp.ticket,
      page: readPageAfter(this.followers, from, lastId, size),
    });
    /** The next page, read while the follower works on the one before. */
    let ahead: ReturnType<typeof read> | undefined;
    while (!signal.aborted) {
      // Behind the head, pages are full, so read the next page at once.
      if (caughtUp) await pause(lastRead + GATHER_MS - performance.now(), signal);
      lastRead = performance.now();
      // Taken before the page is read: an append that the page misses wakes the wait below.
      const { ticket, page: reading } = ahead ?? read();
      ahead = undefined;
      let page: Page;
      try {
        page = await reading;
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        troubledSince ??= performance.now();
        if (performance.now() - troubledSince >= TROUBLE_MS) throw new EventStoreUnavailable(error);
        await pause(RETRY_MS, signal);
        continue;
      }
      troubledSince = undefined;
      ({ position: from, id: lastId } = page.events.at(-1) ?? { position: from, id: lastId });
      const atHead = !page.more;
      if (page.more) {
        ahead = read();
        ahead.page.catch(() => undefined);
      }
      const events = appends.take(page.events, atHead);
      if (events.length > 0 || (atHead && !caughtUp)) yield { events, caughtUp: atHead };
      caughtUp = atHead;
      if (atHead && events.length === 0) await this.wakeUp.wait(ticket, POLL_MS, signal);
    }
  }

  override readByStream(to: Position): AsyncIterable<readonly ProjectableEvent[]> {
    return sortedByStream(this.connectionString, 'event_store.events', to);
  }

  holds(position: Position, id: string): Promise<boolean> {
    return available(async () => (await readIdAt(this.followers, position)) === id);
  }

  /** Asks the server's clock, after the appends that it may have dated and not committed yet. */
  async hasPassed(time: Date): Promise<boolean> {
    for (;;) {
      const now = await available(() => readClock(this.followers, time));
      if (time < now) return true;
      const left = time.getTime() - now.getTime();
      if (left > PASSING_MS) return false;
      await setTimeout(left + 1);
    }
  }

  positionAt(time: Date): Promise<Position | undefined> {
    return available(() => this.times.positionAt(time));
  }

  head(): Promise<Position | undefined> {
    return available(() => readHead(this.commands));
  }

  logId(): Promise<string> {
    return available(() => readLogId(this.commands));
  }

  async close(): Promise<void> {
    await this.writer.close();
    await this.wakeUp.close();
    await Promise.all([this.commands, this.followers, this.feeds].map((pool) => pool.end()));
  }
}

async function available<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw isUnavailable(error) ? new EventStoreUnavailable(error) : error;
  }
}
