import type DataLoader from 'dataloader';
import type { Pool } from 'pg';
import { batching } from '../../postgres/batching.js';
import { createPool, isUnavailable } from '../../postgres/database.js';
import {
  EventStore,
  EventStoreUnavailable,
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
import { sortedByStream } from '../by-stream.js';
import { checkAppend } from '../check-append.js';
import { pause } from '../pause.js';
import { GroupCommit } from './group-commit.js';
import {
  PageSize,
  readHead,
  readIdAt,
  readLogId,
  readPage,
  readPageAfter,
  readPositionAt,
  readRange,
  readStreams,
  type Page,
} from './log-reader.js';
import { WakeUp } from './wake-up.js';

/** Shortest time between two reads of a follower at the head. With many writers, a read per event slows writers. */
const GATHER_MS = 10;
/** Longest wait for a wake-up before a follower reads anyway. */
const POLL_MS = 500;
/** Time between attempts while the server is unavailable. */
const RETRY_MS = 250;
const READ_BATCH = 1_000;
/** Page size of a follower that lags. 5,000 was the fastest measured for the projector. */
const SUBSCRIBE_BATCH = 5_000;
/** The first page of a follower. The events may be large, and the server looks at the size of each. */
const FIRST_BATCH = 320;
/** Largest number of streams read by one statement. */
const MAX_STREAMS = 500;

/** The embedded default: the log as a table in PostgreSQL 15 or newer. The caller migrates the database first. */
export class PostgresEventStore extends EventStore {
  private readonly pool: Pool;
  private readonly writer: GroupCommit;
  private readonly wakeUp: WakeUp;
  private readonly streams: DataLoader<string, RecordedEvent[]>;

  constructor(private readonly connectionString: string) {
    super();
    this.pool = createPool(connectionString, { max: 4 });
    this.wakeUp = new WakeUp(connectionString, this.pool);
    this.writer = new GroupCommit(connectionString, () => this.wakeUp.appended());
    this.streams = batching((names) => available(() => readStreams(this.pool, names)), MAX_STREAMS);
  }

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult> {
    checkAppend(events);
    return this.writer.append(stream, expected, events);
  }

  readStream(stream: string, range?: StreamRange): Promise<readonly RecordedEvent[]> {
    return range ? available(() => readRange(this.pool, stream, range)) : this.streams.load(stream);
  }

  async *readAll(options: ReadAllOptions = {}): AsyncIterable<readonly RecordedEvent[]> {
    const size = new PageSize(options.batchSize ?? READ_BATCH);
    for (let from = options.from, more = true; more;) {
      const page = await available(() => readPage(this.pool, { ...options, from }, size));
      if (page.events.length > 0) yield page.events;
      from = page.events.at(-1)?.position;
      ({ more } = page);
    }
  }

  async *subscribe(after: Position | undefined, signal: AbortSignal, id?: string): AsyncIterable<Batch> {
    let from = after;
    let lastId = id;
    let caughtUp = false;
    let lastRead = 0;
    const size = new PageSize(SUBSCRIBE_BATCH, FIRST_BATCH);
    while (!signal.aborted) {
      // Behind the head, pages are full, so read the next page at once.
      if (caughtUp) await pause(lastRead + GATHER_MS - Date.now(), signal);
      lastRead = Date.now();
      const ticket = this.wakeUp.ticket;
      let page: Page;
      try {
        page = await readPageAfter(this.pool, from, lastId, size);
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        await this.wakeUp.wait(ticket, RETRY_MS, signal);
        continue;
      }
      const { events } = page;
      ({ position: from, id: lastId } = events.at(-1) ?? { position: from, id: lastId });
      const atHead = !page.more;
      if (events.length > 0 || (atHead && !caughtUp)) yield { events, caughtUp: atHead };
      caughtUp = atHead;
      if (events.length === 0) await this.wakeUp.wait(ticket, POLL_MS, signal);
    }
  }

  override readByStream(to: Position): AsyncIterable<readonly ProjectableEvent[]> {
    return sortedByStream(this.connectionString, 'event_store.events', to);
  }

  holds(position: Position, id: string): Promise<boolean> {
    return available(async () => (await readIdAt(this.pool, position)) === id);
  }

  positionAt(time: Date): Promise<Position | undefined> {
    return available(() => readPositionAt(this.pool, time));
  }

  head(): Promise<Position | undefined> {
    return available(() => readHead(this.pool));
  }

  logId(): Promise<string> {
    return available(() => readLogId(this.pool));
  }

  async close(): Promise<void> {
    await this.writer.close();
    await this.wakeUp.close();
    await this.pool.end();
  }
}

async function available<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw isUnavailable(error) ? new EventStoreUnavailable(error) : error;
  }
}
