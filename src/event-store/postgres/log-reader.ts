import type { Pool } from 'pg';
import { prepared, queryFor } from '../../postgres/database.js';
import type { Part } from '../as-of-time.js';
import { decode } from '../decode.js';
import {
  AnotherLog,
  type Position,
  type ReadAllOptions,
  type RecordedEvent,
  type StreamRange,
} from '../event-store.js';

type Row = [
  position: string,
  stream: string,
  revision: string,
  id: string,
  type: string,
  data: unknown,
  metadata: unknown,
  recordedAt: string,
];

// Milliseconds since the epoch: parsing a Date from PostgreSQL's text costs as much as the rest of the row.
const COLUMNS =
  "position, stream, revision, id, type, data, metadata, (date_part('epoch', recorded_at) * 1000)::bigint";

const toEvent = ([position, stream, revision, id, type, data, metadata, recordedAt]: readonly [
  ...Row,
  ...unknown[],
]): RecordedEvent =>
  decode({
    position: BigInt(position),
    stream,
    revision: BigInt(revision),
    id,
    type,
    data,
    metadata,
    recordedAt: new Date(Number(recordedAt)),
  });

/** The events of several streams, read by one statement. Results are in the order of the names. */
export async function readStreams(pool: Pool, streams: readonly string[]): Promise<RecordedEvent[][]> {
  const { rows } = await pool.query<Row>({
    name: 'read-streams',
    rowMode: 'array',
    text: `select ${COLUMNS} from event_store.events where stream = any($1) order by stream, revision`,
    values: [streams],
  });
  const byStream = new Map(streams.map((stream): [string, RecordedEvent[]] => [stream, []]));
  for (const row of rows) byStream.get(row[1])?.push(toEvent(row));
  return streams.map((stream) => byStream.get(stream) ?? []);
}

/** A part of one stream, bounded in events and in bytes. */
export async function readRange(
  pool: Pool,
  stream: string,
  { after = -1n, limit, caller }: StreamRange,
): Promise<RecordedEvent[]> {
  const text = sized('where stream = $3 and revision > $4', 'order by revision');
  const values = [limit ?? null, limit === undefined ? null : PAGE_BYTES, stream, after.toString()];
  const query = { ...prepared(text, values), rowMode: 'array' };
  return (await queryFor<SizedRow>(caller, pool, query)).map(toEvent);
}

/** The first of the events at these positions, in the order of the positions, bounded in bytes. */
export async function readPositions(
  pool: Pool,
  positions: readonly Position[],
  caller: AbortSignal | undefined,
): Promise<RecordedEvent[]> {
  const [first = 0n, last = first] = [positions[0], positions.at(-1)];
  const text = sized('where position = any($3)', `order by position ${first <= last ? 'asc' : 'desc'}`);
  const query = {
    ...prepared(text, [positions.length, PAGE_BYTES, positions.map(String)]),
    rowMode: 'array',
  };
  return (await queryFor<SizedRow>(caller, pool, query)).map(toEvent);
}

type SizedRow = [...Row, bytes: string];

/** Bytes of a column. Only what is stored aside or compressed is looked into: of small events, that took a tenth of an import. */
const sizeOf = (column: string): string =>
  `case when pg_column_compression(${column}) is null and pg_column_size(${column}) < 2000
        then pg_column_size(${column}) else octet_length(${column}::text) end`;

/** Rows up to $1 events, and up to the event that exceeds $2 bytes. The last column counts the bytes so far. */
const sized = (filter: string, order: string): string => `
  select ${COLUMNS}, bytes from (
    select *, sum(own) over (${order} rows unbounded preceding) as bytes from (
      select *, ${sizeOf('data')} + ${sizeOf('metadata')} as own
      from event_store.events ${filter} ${order} limit $1
    ) page
  ) sized
  where $2::bigint is null or bytes - own < $2 ${order}`;

/** A page ends with the event that brings data and metadata to this size, in bytes of JSON. */
const PAGE_BYTES = 8 * 1_048_576;
/** Pages shrink and grow by this factor. */
const GROWTH = 4;

/** How many events to ask for: few where events are large, since the server looks at the size of each. */
export class PageSize {
  /** Number of events to ask for next. */
  next: number;

  constructor(
    private readonly largest: number,
    first = largest,
  ) {
    this.next = first;
  }

  /** After a page that ended early because of its bytes, or before its time was over. */
  shrink(): void {
    this.next = Math.max(1, Math.floor(this.next / GROWTH));
  }

  grow(): void {
    this.next = Math.min(this.largest, this.next * GROWTH);
  }
}

export interface Page {
  readonly events: RecordedEvent[];
  /** Of data and metadata, as JSON. */
  readonly bytes: number;
  /** Whether more events may follow. */
  readonly more: boolean;
}

/**
 * One keyset page of the log, bounded in events and in bytes. No cursor or transaction stays open between pages.
 * @param size is told how the page went.
 */
export async function readPage(
  pool: Pool,
  { from, to, direction = 'forward', categories, types, stream, caller }: ReadAllOptions,
  size: PageSize,
): Promise<Page> {
  const limit = size.next;
  const values: unknown[] = [limit, PAGE_BYTES];
  const value = (v: unknown) => `$${values.push(v)}`;
  const where: string[] = [];
  if (from !== undefined)
    where.push(`position ${direction === 'forward' ? '>' : '<'} ${value(from.toString())}`);
  if (to !== undefined) where.push(`position <= ${value(to.toString())}`);
  if (types) where.push(`type = any(${value(types)})`);
  if (categories) where.push(`split_part(stream, '-', 1) = any(${value(categories)})`);
  if (stream !== undefined) where.push(`stream = ${value(stream)}`);
  const filter = where.length > 0 ? `where ${where.join(' and ')}` : '';
  const order = `order by position ${direction === 'forward' ? 'asc' : 'desc'}`;
  const query = { ...prepared(sized(filter, order), values), rowMode: 'array' };
  let rows: SizedRow[];
  try {
    rows = await queryFor<SizedRow>(caller, pool, query);
  } catch (error) {
    size.shrink();
    throw error;
  }
  const bytes = Number(rows.at(-1)?.[8] ?? 0);
  const full = bytes >= PAGE_BYTES;
  if (full) size.shrink();
  else if (rows.length === limit) size.grow();
  return { events: rows.map((row) => toEvent(row)), bytes, more: full || rows.length === limit };
}

/** Positions that one statement of {@link findPages} looks at: some tens of milliseconds. */
const WINDOW = 100_000n;

/**
 * Pages of the events that pass a filter, forward. The log has no index for filters. One statement for each window of
 * positions keeps every statement short: others get their turn in between, and a caller who leaves is noticed.
 */
export async function* findPages(
  pool: Pool,
  options: ReadAllOptions,
  limit: number,
): AsyncIterable<RecordedEvent[]> {
  let found: RecordedEvent[] = [];
  let bytes = 0;
  let from = options.from ?? 0n;
  for (let end = options.to; ;) {
    if (end === undefined || from >= end) {
      end = options.to ?? (await readHead(pool)) ?? 0n;
      if (from >= end) break;
    }
    const to = from + WINDOW < end ? from + WINDOW : end;
    const page = await readPage(pool, { ...options, from, to }, new PageSize(limit - found.length));
    found.push(...page.events);
    bytes += page.bytes;
    from = page.more ? (found.at(-1)?.position ?? to) : to;
    if (found.length < limit && bytes < PAGE_BYTES) continue;
    yield found;
    found = [];
    bytes = 0;
  }
  if (found.length > 0) yield found;
}

/**
 * The page after an event. Afterwards looks for the event itself, so every page tells whether the log still has it.
 * @param id of the event at `from`; undefined if unknown. Then nothing is checked.
 * @throws AnotherLog
 */
export async function readPageAfter(
  pool: Pool,
  from: Position | undefined,
  id: string | undefined,
  size: PageSize,
): Promise<Page> {
  const page = await readPage(pool, { from }, size);
  if (from === undefined || id === undefined || (await readIdAt(pool, from)) === id) return page;
  throw AnotherLog.withoutEvent(from, id);
}

export async function readIdAt(pool: Pool, position: Position): Promise<string | undefined> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'read-id-at',
    text: 'select id from event_store.events where position = $1',
    values: [position.toString()],
  });
  return rows[0]?.id;
}

export async function readHead(pool: Pool): Promise<Position | undefined> {
  const { rows } = await pool.query<{ position: string }>(
    'select position from event_store.events order by position desc limit 1',
  );
  return rows[0] && BigInt(rows[0].position);
}

/**
 * The server's time, in whole milliseconds as events have it. Once it is later than the given time, every event with that
 * time or an earlier one is committed: whoever appends holds the lock from the reading of the clock until the commit.
 */
export async function readClock(pool: Pool, time: Date): Promise<Date> {
  const clock = `(date_part('epoch', date_trunc('milliseconds', clock_timestamp())) * 1000)::bigint as now`;
  const { rows: early } = await pool.query<{ now: string }>(`select ${clock}`);
  const now = Number(early[0]?.now);
  // An append takes no longer than some seconds. Most questions are about times long ago, and then need no lock.
  if (now - time.getTime() > SETTLED_MS) return new Date(now);
  const { rows } = await pool.query<{ now: string }>(
    `with turn as materialized (select pg_advisory_xact_lock_shared(4859221748839116654)) select ${clock} from turn`,
  );
  return new Date(Number(rows[0]?.now));
}

const SETTLED_MS = 60_000;

/** A part has so many positions, and one statement looks at so many parts: some 300 ms. */
const PART = 1_000n;
const PARTS_AT_ONCE = 100n;

// The first time of a transferred event, in the form that the transfer writes: another program may have written what is
// no time. Most metadata has none, and a search for its name takes half as long as parsing: 3 instead of 6 µs an event.
const FIRST = `case when strpos(metadata::text, '"recordedAt"') > 0
                     and metadata->>'recordedAt' like '____-__-__T__:__:__.___Z' then metadata->>'recordedAt' end`;
const MILLISECONDS = "(date_part('epoch', recorded_at) * 1000)::bigint";

/** The parts of the log after a position, which is the end of a part: how many events each has, and from when to when. */
export async function* readParts(pool: Pool, after = 0n): AsyncIterable<readonly Part[]> {
  const end = (((await readHead(pool)) ?? 0n) / PART) * PART;
  for (let from = after; from < end; from += PART * PARTS_AT_ONCE) {
    const { rows } = await pool.query<{
      last: string;
      lastId: string;
      events: number;
      firsts: (string | null)[];
      times: (string | null)[];
    }>({
      name: 'parts',
      text: `select part.*, e.id as "lastId" from (
               select max(position) as last, count(*)::integer as events,
                 array[min(first collate "C"), max(first collate "C")] as firsts,
                 array[min(at) filter (where first is null), max(at) filter (where first is null)]::text[] as times
               from (
                 select position, ${FIRST} as first, ${MILLISECONDS} as at from event_store.events
                 where position > $1 and position <= $2
               ) timed group by (position - 1) / ${PART}
             ) part join event_store.events e on e.position = part.last order by part.last`,
      values: [from.toString(), minimum(from + PART * PARTS_AT_ONCE, end).toString()],
    });
    yield rows.map(({ last, lastId, events, firsts, times }) => {
      const all = [
        ...firsts.flatMap((first) => (first === null ? [] : [new Date(first).getTime()])),
        ...times.flatMap((time) => (time === null ? [] : [Number(time)])),
      ];
      // What looks like a time and is none: then the events tell one by one.
      const range = all.some(Number.isNaN) ? [-Infinity, Infinity] : [Math.min(...all), Math.max(...all)];
      const [earliest = -Infinity, latest = Infinity] = range;
      return { last: BigInt(last), lastId, events, earliest, latest };
    });
  }
}

const minimum = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** Positions and times of the events after a position. */
export async function* readTimes(
  pool: Pool,
  after = 0n,
  to?: Position,
): AsyncIterable<readonly { readonly position: Position; readonly recordedAt: Date }[]> {
  for (let from = after; ;) {
    const { rows } = await pool.query<{ position: string; first: string | null; at: string }>({
      name: 'times',
      text: `select position, ${FIRST} as first, ${MILLISECONDS} as at from event_store.events
             where position > $1 and ($2::bigint is null or position <= $2) order by position limit $3`,
      values: [from.toString(), to?.toString() ?? null, PART.toString()],
    });
    yield rows.map(({ position, first, at }) => {
      const time = first === null ? NaN : new Date(first).getTime();
      return { position: BigInt(position), recordedAt: new Date(Number.isNaN(time) ? Number(at) : time) };
    });
    const last = rows.at(-1);
    if (!last || rows.length < PART) return;
    from = BigInt(last.position);
  }
}

/** The log's id, written once by the migration that created the log. */
export async function readLogId(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('select id from event_store.log');
  if (!rows[0]) throw new Error('event_store.log is empty');
  return rows[0].id;
}
