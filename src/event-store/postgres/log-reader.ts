import type { Pool } from 'pg';
import { prepared } from '../../postgres/database.js';
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
  { after = -1n, limit }: StreamRange,
): Promise<RecordedEvent[]> {
  const text = sized('where stream = $3 and revision > $4', 'order by revision');
  const values = [limit ?? null, limit === undefined ? null : PAGE_BYTES, stream, after.toString()];
  const { rows } = await pool.query<SizedRow>({ ...prepared(text, values), rowMode: 'array' });
  return rows.map(toEvent);
}

type SizedRow = [...Row, bytes: string];

/** Rows up to $1 events, and up to the event that exceeds $2 bytes. The last column counts the bytes so far. */
const sized = (filter: string, order: string): string => `
  select ${COLUMNS}, bytes from (
    select *, sum(own) over (${order} rows unbounded preceding) as bytes from (
      select *, octet_length(data::text) + octet_length(metadata::text) as own
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
  /** Whether more events may follow. */
  readonly more: boolean;
}

/**
 * One keyset page of the log, bounded in events and in bytes. No cursor or transaction stays open between pages.
 * @param size is told how the page went.
 */
export async function readPage(
  pool: Pool,
  { from, to, direction = 'forward', categories, types, stream }: ReadAllOptions,
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
  const text = sized(filter, order);
  let rows: SizedRow[];
  try {
    ({ rows } = await pool.query<SizedRow>({ ...prepared(text, values), rowMode: 'array' }));
  } catch (error) {
    size.shrink();
    throw error;
  }
  const full = Number(rows.at(-1)?.[8] ?? 0) >= PAGE_BYTES;
  if (full) size.shrink();
  else if (rows.length === limit) size.grow();
  return { events: rows.map((row) => toEvent(row)), more: full || rows.length === limit };
}

/**
 * The page after an event. The event is read too, so every page tells whether the log still has the event.
 * @param id of the event at `from`; undefined if unknown. Then nothing is checked.
 * @throws AnotherLog
 */
export async function readPageAfter(
  pool: Pool,
  from: Position | undefined,
  id: string | undefined,
  size: PageSize,
): Promise<Page> {
  if (from === undefined || id === undefined) return readPage(pool, { from }, size);
  const page = await readPage(pool, { from: from - 1n }, size);
  const [before, ...events] = page.events;
  if (before?.position !== from || before.id !== id) throw AnotherLog.withoutEvent(from, id);
  return { ...page, events };
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

/** Binary search: positions have no gaps, and times rise with positions. */
export async function readPositionAt(pool: Pool, time: Date): Promise<Position | undefined> {
  let last: Position = 0n;
  for (let beyond = ((await readHead(pool)) ?? 0n) + 1n; beyond - last > 1n;) {
    const middle = (last + beyond) / 2n;
    const { rows } = await pool.query<{ before: boolean }>({
      name: 'recorded-before',
      text: `select coalesce((metadata->>'recordedAt')::timestamptz, recorded_at) <= $2 as before
             from event_store.events where position = $1`,
      values: [middle.toString(), time.toISOString()],
    });
    if (rows[0]?.before) last = middle;
    else beyond = middle;
  }
  return last === 0n ? undefined : last;
}

/** The log's id, written once by the migration that created the log. */
export async function readLogId(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('select id from event_store.log');
  if (!rows[0]) throw new Error('event_store.log is empty');
  return rows[0].id;
}
