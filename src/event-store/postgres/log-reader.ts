import type { Pool } from 'pg';
import { prepared, queryFor } from '../../postgres/database.js';
import { decode } from '../decode.js';
import type { Position, ReadAllOptions, RecordedEvent } from '../event-store.js';

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

const toEvent = ([position, stream, revision, id, type, data, metadata, recordedAt]: Row): RecordedEvent =>
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

/** One keyset page of the log. No cursor or transaction stays open between pages. */
export async function readPage(
  pool: Pool,
  { from, to, direction = 'forward', categories, types, stream, caller }: ReadAllOptions,
  limit: number,
): Promise<RecordedEvent[]> {
  const values: unknown[] = [limit];
  const value = (v: unknown) => `$${values.push(v)}`;
  const where: string[] = [];
  if (from !== undefined)
    where.push(`position ${direction === 'forward' ? '>' : '<'} ${value(from.toString())}`);
  if (to !== undefined) where.push(`position <= ${value(to.toString())}`);
  if (types) where.push(`type = any(${value(types)})`);
  if (categories) where.push(`split_part(stream, '-', 1) = any(${value(categories)})`);
  if (stream !== undefined) where.push(`stream = ${value(stream)}`);
  const filter = where.length > 0 ? `where ${where.join(' and ')}` : '';
  const text = `select ${COLUMNS} from event_store.events ${filter}
    order by position ${direction === 'forward' ? 'asc' : 'desc'} limit $1`;
  const query = { ...prepared(text, values), rowMode: 'array' };
  return (await queryFor<Row>(caller, pool, query)).map(toEvent);
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
  let from = options.from ?? 0n;
  for (let end = options.to; ;) {
    if (end === undefined || from >= end) {
      end = options.to ?? (await readHead(pool)) ?? 0n;
      if (from >= end) break;
    }
    const to = from + WINDOW < end ? from + WINDOW : end;
    const events = await readPage(pool, { ...options, from, to }, limit - found.length);
    found.push(...events);
    if (found.length < limit) {
      from = to;
      continue;
    }
    yield found;
    from = found.at(-1)?.position ?? to;
    found = [];
  }
  if (found.length > 0) yield found;
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
