import type { Pool } from 'pg';
import { prepared, queryFor } from '../../postgres/database.js';
import { AsOfTime } from '../as-of-time.js';
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

/** Number of events that one statement looks at: some 300 ms. */
const TIMES_AT_ONCE = 100_000n;

/** The server adds up the times of the log, some at a time: see {@link AsOfTime}. */
export async function readPositionAt(pool: Pool, time: Date): Promise<Position | undefined> {
  const asOf = new AsOfTime(time);
  const head = (await readHead(pool)) ?? 0n;
  for (let from = 0n; from < head; from += TIMES_AT_ONCE) {
    const { rows } = await pool.query<{ position: string; least: string; balance: string }>({
      name: 'times',
      // A transferred event's first time is compared as text, in the form that the transfer writes: another program may
      // have written what is no time.
      text: `with recorded as (
               select position, recorded_at, metadata->>'recordedAt' as first from event_store.events
               where position > $1 and position <= $2
             ), signed as (
               select position,
                 case when first like '____-__-__T__:__:__.___Z' collate "C"
                   then case when first <= $3::text collate "C" then -1 when first <= $4::text collate "C" then 1 else 0 end
                   else case when recorded_at <= $3::text::timestamptz then -1
                             when recorded_at <= $4::text::timestamptz then 1 else 0 end
                 end as sign
               from recorded
             ), sums as (
               select position, sum(sign) over (order by position) as least from signed
             )
             select position, least, (select sum(sign) from signed) as balance
             from sums order by least, position limit 1`,
      values: [
        from.toString(),
        (from + TIMES_AT_ONCE).toString(),
        ...[time, asOf.now].map((one) => one.toISOString()),
      ],
    });
    const [sums] = rows;
    if (sums)
      asOf.takeAll({
        position: BigInt(sums.position),
        least: Number(sums.least),
        balance: Number(sums.balance),
      });
  }
  return asOf.position;
}

/** The log's id, written once by the migration that created the log. */
export async function readLogId(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('select id from event_store.log');
  if (!rows[0]) throw new Error('event_store.log is empty');
  return rows[0].id;
}
