import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientBase } from 'pg';
import { AUTHOR } from '../../src/authors/author.events.js';
import { BOOK } from '../../src/books/book.events.js';
import {
  categoryOf,
  idOf,
  type EventStore,
  type Position,
  type RecordedEvent,
} from '../../src/event-store/event-store.js';
import { CHANGE } from '../../src/changes/change.events.js';
import { OPERATIONS } from '../../src/operations/operations.events.js';
import { arrayLiteral } from '../../src/postgres/array-literal.js';
import type { CopyValue } from '../../src/postgres/copy.js';
import { concerns, type Bulk, type Projection, type RowChange } from '../projection.js';
import { concernedElsewhere, link, LINKING, removesBook, rowOf, type EventRow } from './rows.js';

const sql = (file: string) => () => readFileSync(join(import.meta.dirname, file), 'utf8');

/** Batches at the head are small, and cost more than their rows. Audit answers wait for what they must show. */
const GATHER_MS = 25;

/** Bits of a position that its block leaves out. */
export const BLOCK_BITS = 16;

const COLUMNS: Readonly<Record<string, { type: string; value: (row: EventRow) => CopyValue }>> = {
  position: { type: 'bigint', value: ({ position }) => position },
  stream: { type: 'text', value: ({ stream }) => stream },
  revision: { type: 'bigint', value: ({ revision }) => revision },
  type: { type: 'text', value: ({ type }) => type },
  actor: { type: 'text', value: ({ actor }) => actor },
  change: { type: 'text', value: ({ change }) => change },
  cause: { type: 'text', value: ({ cause }) => cause },
  recorded_at: { type: 'timestamptz', value: ({ recordedAt }) => recordedAt },
  authors: { type: 'uuid[]', value: ({ authors }) => authors },
  book: { type: 'uuid', value: ({ book }) => book },
};
const NAMES = Object.keys(COLUMNS);
const VALUES = Object.values(COLUMNS);

/** A row of `events` is of the stream with category `$1` and id `$2`. */
const OF_STREAM = `hashtextextended(stream, 0) = hashtextextended($1 || '-' || $2, 0) and stream = $1 || '-' || $2`;

/** What the events of a stream come to, while the stream is read. */
interface Standing {
  readonly rows: EventRow[];
  readonly linked: Set<string>;
}

const bulk: Bulk = {
  columns: { events: NAMES, concerned: ['id', 'position'], times: ['block', 'earliest', 'latest'] },
  gaps: true,

  fold: (standing, event) => {
    const { rows, linked } = (standing as Standing | undefined) ?? { rows: [], linked: new Set<string>() };
    const row = rowOf(event, linked);
    rows.push(row);
    link(linked, row);
    return { rows, linked } satisfies Standing;
  },

  rows: (_, standing, add) => {
    for (const row of (standing as Standing).rows) {
      add(
        'events',
        VALUES.map(({ value }) => value(row)),
      );
      for (const id of concernedElsewhere(row)) add('concerned', [id, row.position]);
    }
  },

  settle: async (client: ClientBase) => {
    await client.query(
      `insert into times (block, earliest, latest)
       select position >> ${BLOCK_BITS}, min(recorded_at), max(recorded_at) from events group by 1`,
    );
    await client.query('analyze times');
  },
};

/**
 * Every event of the log: who did what, when, as part of which change, and which authors and books it concerns. Answers
 * which events a filtered feed shows; the events themselves are in the log. Takes every event, so nothing is parked.
 */
export const changes: Projection = {
  name: 'changes',
  version: 2,
  // Version 1 does not know all events, so its rows may lack authors of merges.
  readable: 2,
  gatherMs: GATHER_MS,
  categories: [AUTHOR, BOOK, CHANGE, OPERATIONS],
  tables: ['events', 'concerned', 'times'],
  columns: sql('tables.sql'),
  keys: sql('keys.sql'),
  references: () => '',
  lookups: ['events_by_stream'],
  accounted: 'select count(*) from events',
  reached: `select revision from events where ${OF_STREAM} order by position desc limit 1`,
  apply,
  forget,
  // No row says that an event is missing, because no event is.
  mark: async () => undefined,
  bulk,
  explain,
};

async function forget(client: ClientBase, stream: string): Promise<void> {
  await client.query(
    `with gone as (delete from events where ${OF_STREAM} returning position)
     delete from concerned where position in (select position from gone)`,
    [categoryOf(stream), idOf(stream)],
  );
}

async function apply(client: ClientBase, recorded: readonly RecordedEvent[]): Promise<void> {
  const events = recorded.filter((event) => concerns(changes, event));
  const linked = await linkedBefore(client, events);
  const rows = events.map((event) => {
    const ofBook = linked.get(event.stream);
    const row = rowOf(event, ofBook ?? new Set());
    if (ofBook) link(ofBook, row);
    return row;
  });
  if (rows.length === 0) return;
  const elsewhere = rows.flatMap((row) => concernedElsewhere(row).map((id) => ({ id, at: row.position })));
  await client.query({
    name: 'insert-events',
    text: INSERT,
    values: [
      ...VALUES.map(({ value }) => arrayLiteral(rows.map((row) => value(row)))),
      elsewhere.map(({ id }) => id),
      elsewhere.map(({ at }) => at.toString()),
    ],
  });
}

const ARRAYS = VALUES.map(({ type }, index) => `$${index + 1}::${type === 'uuid[]' ? 'text' : type}[]`);
const READ = NAMES.map((name) => (name === 'authors' ? `string_to_array(authors, ',')::uuid[]` : name));
/** One statement, for one round trip. */
const INSERT = `
  with listed as (
    insert into events (${NAMES.join()}) select ${READ.join()} from unnest(${ARRAYS.join()}) new (${NAMES.join()})
    returning position, recorded_at
  ), elsewhere as (
    insert into concerned (id, position)
    select * from unnest($${NAMES.length + 1}::uuid[], $${NAMES.length + 2}::bigint[])
  )
  insert into times as old (block, earliest, latest)
  select position >> ${BLOCK_BITS}, min(recorded_at), max(recorded_at) from listed group by 1
  on conflict (block) do update
    set earliest = least(old.earliest, excluded.earliest), latest = greatest(old.latest, excluded.latest)`;

/** The authors of the books that are removed, as of the first of these events. */
async function linkedBefore(
  client: ClientBase,
  events: readonly RecordedEvent[],
): Promise<Map<string, Set<string>>> {
  const streams = [...new Set(events.filter(removesBook).map(({ stream }) => stream))];
  const linked = new Map(streams.map((stream) => [stream, new Set<string>()]));
  if (streams.length === 0) return linked;
  const { rows } = await client.query<{ stream: string; type: string; authors: string }>({
    name: 'links-of-books',
    text: `select book.stream, e.type, array_to_string(e.authors, ',') as authors
           from unnest($1::text[]) book (stream) cross join lateral (
             select type, authors, position from events
             where hashtextextended(stream, 0) = hashtextextended(book.stream, 0) and stream = book.stream
               and type = any($2) offset 0
           ) e
           order by e.position`,
    values: [streams, LINKING],
  });
  for (const { stream, type, authors } of rows)
    link(linked.get(stream) ?? new Set(), { type, authors: authors === '' ? [] : authors.split(',') });
  return linked;
}

async function explain(
  store: EventStore,
  _: string,
  { position }: Readonly<Record<string, string>>,
  to?: Position,
): Promise<RowChange[]> {
  const at = BigInt(position ?? -1);
  // A row of `times` comes from many events.
  if (at < 0n || (to !== undefined && at > to)) return [];
  const changed: RowChange[] = [];
  for await (const [event] of store.readAt([at])) {
    const linked = new Set<string>();
    for (const before of event ? await store.readStream(event.stream) : [])
      if (before.position < at) link(linked, rowOf(before, linked));
    if (event) changed.push({ event, row: { ...rowOf(event, linked) } });
  }
  return changed;
}
