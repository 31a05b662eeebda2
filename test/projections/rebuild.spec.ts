import { Client, type Pool } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { Maintenance } from '../../projections/maintenance.js';
import type { Projection } from '../../projections/projection.js';
import { Projector } from '../../projections/projector.js';
import type { Phase } from '../../projections/build/build.js';
import { authorStream } from '../../src/authors/author.events.js';
import { bookStream } from '../../src/books/book.events.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { transfer } from '../../src/event-store/transfer.js';
import { createPool } from '../../src/postgres/database.js';
import { skip } from '../support/acts.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { newEvent } from '../support/events.js';
import { dumpTables } from '../support/tables.js';

let database: TestDatabase;
let pool: Pool;
let store: PostgresEventStore;
let maintenance: Maintenance;
let projector: Projector;

const operatorOf = async (projection: Projection) =>
  new Maintenance({
    target: { projection, schema: 'catalogue', log: await store.logId() },
    store,
    pool,
    connectionString: database.url,
  });
const projectorOf = (projection: Projection) =>
  new Projector(projection, store, pool, { connectionString: database.url, schema: 'catalogue' });

const id = (kind: 'a' | 'b', n: number) => `00000000-0000-7000-8000-${kind}${String(n).padStart(11, '0')}`;
const link = (n: number) => ({ authorId: id('a', n), position: 1, roles: ['author'], creditedAs: null });

beforeEach(async () => {
  database = await createDatabase();
  pool = createPool(database.url);
  store = new PostgresEventStore(database.url);
  maintenance = await operatorOf(catalogue);
  projector = projectorOf(catalogue);
  await projector.start();
  for (let n = 0; n < 20; n += 1) {
    await store.append(authorStream(id('a', n)), 'no-stream', [
      newEvent('AuthorAdded', { name: `Author ${n}` }),
    ]);
    await store.append(bookStream(id('b', n)), 'no-stream', [
      newEvent('BookAdded', { title: `Book ${n}` }),
      newEvent('BookLinked', link(n)),
    ]);
  }
  await store.append(authorStream(id('a', 1)), 0n, [newEvent('AuthorRemoved', {})]);
  await store.append(bookStream(id('b', 2)), 1n, [newEvent('BookRemoved', {})]);
  await caughtUp();
});
afterEach(async () => {
  await projector.close();
  await maintenance.close();
  await store.close();
  await pool.end();
  await database.drop();
});

async function caughtUp(): Promise<void> {
  const head = await store.head();
  expect(head !== undefined && (await projector.reached(head, 30_000))).toBe(true);
}

const schemas = async () =>
  (
    await sql<{ name: string }>(
      database.url,
      `select nspname as name from pg_namespace where nspname ~ '^(catalogue|as_of)' order by 1`,
    )
  ).map(({ name }) => name);

const PHASES: Phase[] = ['loading', 'indexing', 'catching up', 'verifying', 'swapping'];

test.each(PHASES)(
  'a rebuild that loses its connections while %s leaves no trace, and can begin again',
  async (fatal) => {
    const before = await dumpTables(database.url);
    const onPhase = async (phase: Phase) => {
      if (phase === fatal)
        await sql(
          database.url,
          `select pg_terminate_backend(pid, 5000) from pg_stat_activity
         where application_name like 'colophon rebuild%' and datname = current_database()`,
        );
    };
    await expect(maintenance.rebuild({ onPhase })).rejects.toThrow();
    expect(await schemas()).toEqual(['catalogue', 'catalogue_a']);
    expect(await dumpTables(database.url)).toBe(before);
    expect(await maintenance.rebuildOf()).toMatchObject({ phase: 'failed', error: expect.any(String) });

    await store.append(authorStream(id('a', 30)), 'no-stream', [newEvent()]);
    await maintenance.rebuild({});
    await caughtUp();
    expect(await schemas()).toEqual(['catalogue', 'catalogue_b']);
    expect(await sql(database.url, `select from catalogue.authors where id = '${id('a', 30)}'`)).toHaveLength(
      1,
    );
  },
);

test('a rebuild that is stopped leaves no trace', async () => {
  const before = await dumpTables(database.url);
  for (const fatal of PHASES) {
    const stop = new AbortController();
    const onPhase = async (phase: Phase) => (phase === fatal ? stop.abort() : undefined);
    await expect(maintenance.rebuild({ onPhase, signal: stop.signal })).rejects.toThrow();
    expect(await maintenance.rebuildOf()).toMatchObject({ phase: 'failed', error: 'stopped' });
  }
  expect(await schemas()).toEqual(['catalogue', 'catalogue_a']);
  expect(await dumpTables(database.url)).toBe(before);
});

test.each([
  ['a row is missing', `delete from SHADOW.books where id = '${id('b', 5)}'`],
  [
    'an event was applied twice',
    `update SHADOW.authors set revision = revision + 1 where id = '${id('a', 5)}'`,
  ],
])('tables are not exchanged where %s', async (_, damage) => {
  const before = await dumpTables(database.url);
  const onPhase = async (phase: Phase, shadow: string) => {
    if (phase === 'verifying')
      await sql(
        database.url,
        `alter table ${shadow}.books disable trigger all`,
        damage.replace('SHADOW', shadow),
      );
  };
  await expect(maintenance.rebuild({ onPhase })).rejects.toThrow(/account for \d+ events of 62/);
  expect(await dumpTables(database.url)).toBe(before);
});

test('tables are not exchanged for what somebody took away meanwhile', async () => {
  const before = await dumpTables(database.url);
  const onPhase = async (phase: Phase, shadow: string) => {
    if (phase === 'swapping') await sql(database.url, `drop schema ${shadow} cascade`);
  };
  await expect(maintenance.rebuild({ onPhase })).rejects.toThrow(
    'another session dropped tables from catalogue_b',
  );
  expect(await dumpTables(database.url)).toBe(before);
});

test('a connection lost in the middle of a bulk load ends the rebuild, and the next one succeeds', async () => {
  const before = await dumpTables(database.url);
  const large = JSON.stringify({ name: 'x'.repeat(900) });
  await sql(
    database.url,
    `insert into event_store.events
     select 62 + n, 'author-' || gen_random_uuid(), 0, gen_random_uuid(), 'AuthorAdded', '${large}',
            '{"actor":"test","schemaVersion":1}', now() from generate_series(1, 30000) n`,
  );
  let killed = false;
  const onProgress = ({ phase, done }: { phase: Phase; done: number }) => {
    if (killed || phase !== 'loading' || done < 5_000) return;
    killed = true;
    void sql(
      database.url,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name like 'colophon rebuild%' and query like 'copy catalogue%'`,
    );
  };
  await projector.close();
  await expect(maintenance.rebuild({ onProgress })).rejects.toThrow();
  expect(killed).toBe(true);
  expect(await schemas()).toEqual(['catalogue', 'catalogue_a']);
  await maintenance.rebuild({});
  expect(await sql(database.url, 'select from catalogue.authors')).toHaveLength(30_019);
  expect(before).not.toBe(await dumpTables(database.url));
});

test('rows of what was skipped differ from nothing', async () => {
  const stream = authorStream(id('a', 7));
  await store.append(stream, 0n, [
    newEvent('AuthorRenamed', { name: 7 }),
    newEvent('AuthorRenamed', { name: 'Seventh' }),
  ]);
  await caughtUp();
  const [, bad] = await store.readStream(stream);
  if (bad) await skip(store, bad);
  await caughtUp();
  const before = await dumpTables(database.url);
  expect(before).toContain('Seventh');
  const onDifference = () => undefined;
  expect(await maintenance.verify({ repair: true, onDifference })).toMatchObject({
    differences: 0,
    parked: 0,
  });
  expect(await dumpTables(database.url)).toBe(before);
});

test('rows are not repaired past an event that is parked only in the tables', async () => {
  const stream = authorStream(id('a', 7));
  await sql(database.url, `alter table catalogue.authors add constraint short check (length(name) < 20)`);
  await store.append(stream, 0n, [newEvent('AuthorRenamed', { name: 'x'.repeat(30) })]);
  await caughtUp();
  await sql(database.url, 'alter table catalogue.authors drop constraint short');
  const before = await dumpTables(database.url);
  const onDifference = () => undefined;
  await expect(maintenance.verify({ repair: true, onDifference })).rejects.toThrow('differ in parked events');
  expect(await dumpTables(database.url)).toBe(before);
});

test('a log with a gap is not rebuilt from, unless what stands behind may be parked, and is not copied', async () => {
  const stream = bookStream(id('b', 3));
  await sql(database.url, `delete from event_store.events where stream = '${stream}' and revision = 0`);
  await expect(maintenance.rebuild({})).rejects.toThrow(/the events before revision 1 were deleted/);
  await maintenance.rebuild({ allowParked: true });
  expect(await maintenance.retry(stream)).toMatchObject([
    { error: expect.stringContaining('the events before revision 1 were deleted or skipped') },
  ]);
  const copying = async () => {
    for await (const _ of transfer(store, new MemoryEventStore()));
  };
  await expect(copying()).rejects.toThrow(`the source has no events of ${stream} before revision 1`);
});

test('what was written meanwhile is there, and nothing twice', async () => {
  let n = 100;
  const write = () => store.append(authorStream(id('a', (n += 1))), 'no-stream', [newEvent()]);
  // Before every phase, and once more between the last look and the exchange.
  const { events } = await maintenance.rebuild({ onPhase: async () => void (await write()) });
  await caughtUp();
  expect(events).toBeGreaterThanOrEqual(65);
  const rebuilt = await dumpTables(database.url);
  await maintenance.rebuild({});
  expect(await dumpTables(database.url)).toBe(rebuilt);
  expect(await sql(database.url, 'select from catalogue.authors')).toHaveLength(19 + PHASES.length);
});

test('an exchange that can’t have its locks gives up, lets readers pass, and tries again', async () => {
  const reader = new Client({ connectionString: database.url, application_name: 'long report' });
  await reader.connect();
  await reader.query('begin');
  await reader.query('select count(*) from catalogue.books');
  const heldUp: string[] = [];
  let passed = 0;
  let answers = 0;
  const done = maintenance.rebuild({
    onHeldUp: (holders) => {
      heldUp.push(holders);
      if (heldUp.length === 3) void reader.query('commit');
    },
  });
  const rebuilding = done.then(() => (passed = answers));
  while (passed === 0) {
    await pool.query('select count(*) from catalogue.authors join catalogue.author_book on id = author_id');
    answers += 1;
  }
  await rebuilding;
  await reader.end();
  expect(heldUp.length).toBeGreaterThanOrEqual(3);
  expect(heldUp[0]).toMatch(/^pid \d+ \(long report, /);
});

test('views, grants and what else hangs on the tables stay, whoever it belongs to', async () => {
  const role = `analyst_${database.name.slice(-12)}`;
  await sql(
    database.url,
    `create role ${role}`,
    `grant usage on schema catalogue to ${role}`,
    `grant select on catalogue.authors, catalogue.author_book to ${role}`,
    `grant select (title) on catalogue.books to ${role}`,
    `create schema reports authorization ${role}`,
    `set role ${role}`,
    `create view reports.names as select name from catalogue.authors`,
    `create materialized view reports.counts as select count(*)::integer as links from catalogue.author_book`,
    `reset role`,
    `create table catalogue.notes (id integer primary key, text text) partition by list (id)`,
    `comment on table catalogue.authors is 'who writes'`,
    `create publication changes for table catalogue.authors with (publish_via_partition_root = true)`,
  );
  await maintenance.rebuild({});
  await store.append(authorStream(id('a', 40)), 'no-stream', [newEvent('AuthorAdded', { name: 'New' })]);
  await caughtUp();
  const seen = await sql(
    database.url,
    `set role ${role}`,
    `refresh materialized view reports.counts`,
    `select (select count(*)::integer from reports.names where name = 'New') as names,
            (select links from reports.counts) as links,
            (select count(title)::integer from catalogue.books) as titles, to_regclass('catalogue.notes') is not null as notes,
            obj_description('catalogue.authors'::regclass) as comment,
            (select count(*)::integer from pg_publication_tables where tablename = 'authors') as published`,
  );
  expect(seen).toEqual([
    { names: 1, links: 18, titles: 19, notes: true, comment: 'who writes', published: 1 },
  ]);
  await expect(sql(database.url, `set role ${role}`, 'select id from catalogue.books')).rejects.toThrow(
    'permission denied',
  );
  const references = await sql(
    database.url,
    `select from pg_constraint where conrelid = 'catalogue.author_book'::regclass and contype = 'f' and convalidated and conparentid = 0`,
  );
  expect(references).toHaveLength(2);
  await sql(database.url, `drop publication changes`, `drop owned by ${role} cascade`, `drop role ${role}`);
});

/** The catalogue with one more column: the letter that an author is filed under. */
const next: Projection = {
  ...catalogue,
  version: catalogue.version + 1,
  readable: catalogue.version,
  columns: () =>
    catalogue
      .columns()
      .replace(
        'name_sort  text collate "C" not null,',
        `name_sort text collate "C" not null, letter text not null default '?',`,
      ),
  apply: async (client, events) => {
    await catalogue.apply(client, events);
    await client.query(`update authors set letter = left(name, 1) where letter <> left(name, 1)`);
  },
  bulk: {
    ...catalogue.bulk,
    settle: async (client) => {
      await catalogue.bulk.settle(client);
      await client.query('update authors set letter = left(name, 1)');
    },
  },
};

test('another version’s tables come in the background, while both versions serve and the old one projects', async () => {
  await sql(database.url, 'create view public.names as select id, name from catalogue.authors');
  // Held up by a reader, the exchange waits: both versions run side by side.
  const reader = new Client({ connectionString: database.url });
  await reader.connect();
  await reader.query('begin; select from catalogue.removed');
  const newer = projectorOf(next);
  await newer.start();
  while ((await maintenance.rebuildOf())?.phase !== 'swapping')
    await new Promise((again) => setTimeout(again, 20));
  const meanwhile = await store.append(authorStream(id('a', 50)), 'no-stream', [
    newEvent('AuthorAdded', { name: 'Meanwhile' }),
  ]);
  expect(await projector.reached(meanwhile.position, 10_000)).toBe(true);
  expect(await newer.reached(meanwhile.position, 10_000)).toBe(true);
  expect(await projector.status()).toMatchObject({
    version: catalogue.version,
    tables: catalogue.version,
    active: true,
  });
  expect(await newer.status()).toMatchObject({
    version: next.version,
    tables: catalogue.version,
    active: false,
  });
  expect(newer.readable).toBe(true);
  await reader.query('commit');
  await reader.end();
  while ((await newer.status()).tables !== next.version) await new Promise((again) => setTimeout(again, 20));

  const after = await store.append(authorStream(id('a', 51)), 'no-stream', [
    newEvent('AuthorAdded', { name: 'After' }),
  ]);
  expect(await newer.reached(after.position, 10_000)).toBe(true);
  // The old version goes on reading.
  expect(await projector.reached(after.position, 10_000)).toBe(true);
  expect(projector.readable).toBe(true);
  expect(
    await sql(
      database.url,
      `select letter, name from catalogue.authors where name ~ '^(After|Meanwhile|Author 3)$' order by 2`,
    ),
  ).toEqual([
    { letter: 'A', name: 'After' },
    { letter: 'A', name: 'Author 3' },
    { letter: 'M', name: 'Meanwhile' },
  ]);
  expect(await sql(database.url, `select from names where name in ('After', 'Author 3')`)).toHaveLength(2);
  expect((await projector.status()).error).toContain(`of version ${next.version}, made by a newer Colophon`);
  await newer.close();

  // Back again, as after a deployment that was taken back.
  await maintenance.rebuild({});
  await caughtUp();
  await expect(sql(database.url, 'select letter from catalogue.authors')).rejects.toThrow('does not exist');
});

test('tables from before they were partitions become them, and serve until those of this version come', async () => {
  const log = await store.logId();
  await sql(
    database.url,
    'create schema plain',
    `set search_path to plain, public`,
    catalogue.columns(),
    catalogue.keys(),
    catalogue.references(),
    'alter table removed drop constraint removed_pkey, drop column kind, drop column revision, add primary key (id)',
    'alter table authors alter name_sort type text collate "default"',
    'create table checkpoint (projection text primary key, version integer, log_id uuid, position bigint, updated_at timestamptz)',
    `insert into checkpoint values ('catalogue', 2, '${log}', null, now())`,
    `insert into authors (id, name, name_sort, words, revision, created_at, updated_at)
     values (gen_random_uuid(), 'Of old', 'of old', ' of old', 0, now(), now())`,
  );
  const reader = new Client({ connectionString: database.url });
  await reader.connect();
  const newer = new Projector(catalogue, store, pool, { connectionString: database.url, schema: 'plain' });
  await newer.start();
  expect(newer.readable).toBe(false);
  await reader.query('begin');
  const { rows } = await reader.query('select name from plain.authors');
  if (rows.length === 1) expect(rows).toEqual([{ name: 'Of old' }]);
  await reader.query('commit');
  await reader.end();
  const head = await store.head();
  while (!newer.readable) await new Promise((again) => setTimeout(again, 20));
  expect(head !== undefined && (await newer.reached(head, 10_000))).toBe(true);
  expect(await dumpTables(database.url, 'plain')).toBe(await dumpTables(database.url));
  await newer.close();
});

test('a version that drops a column that a view uses is held up, and says by what', async () => {
  const newer = await operatorOf(next);
  await newer.rebuild({});
  await sql(database.url, 'create view public.letters as select letter from catalogue.authors');
  await expect(maintenance.rebuild({})).rejects.toThrow(
    /cannot drop column letter .* because other objects depend on it .*view letters/,
  );
  expect(await sql(database.url, `select count(*)::integer as n from letters where letter = 'A'`)).toEqual([
    { n: 19 },
  ]);
  await newer.close();
});

test('the catalogue as it stood is built as tables of their own, by position and by time', async () => {
  const [second] = await sql<{ position: string; at: Date }>(
    database.url,
    `select position, recorded_at as at from event_store.events where stream = '${bookStream(id('b', 4))}' and revision = 1`,
  );
  const position = BigInt(second?.position ?? 0);
  await maintenance.buildAsOf({ position }, 'as_of_then', false, {});
  const [counts] = await sql(
    database.url,
    `select (select count(*)::integer from as_of_then.authors) as authors, (select count(*)::integer from as_of_then.books) as books,
            (select count(*)::integer from as_of_then.author_book) as links, (select position from as_of_then.checkpoint) as position`,
  );
  // Neither removal had happened.
  expect(counts).toEqual({ authors: 5, books: 5, links: 5, position: String(position) });
  await expect(maintenance.buildAsOf({ position }, 'as_of_then', false, {})).rejects.toThrow(
    'already exists',
  );
  await expect(maintenance.buildAsOf({ position }, 'event_store', true, {})).rejects.toThrow(
    'something else',
  );
  await expect(maintenance.buildAsOf({ position }, 'catalogue_b', true, {})).rejects.toThrow(
    'are reserved for',
  );
  await expect(maintenance.buildAsOf({ position: 10_000n }, 'as_of_x', false, {})).rejects.toThrow(
    'beyond the end of the log',
  );

  // Neither somebody's schema, nor one that happens to be where we would build.
  await sql(database.url, 'create schema theirs', 'create table theirs.notes (text text)');
  await expect(maintenance.buildAsOf({ position }, 'theirs', true, {})).rejects.toThrow('something else');
  await sql(database.url, 'create schema catalogue_b', 'create table catalogue_b.notes (text text)');
  await expect(maintenance.rebuild({})).rejects.toThrow('was not created by Colophon');
  await sql(database.url, 'drop schema catalogue_b cascade', 'drop schema theirs cascade');

  await maintenance.buildAsOf({ time: second?.at ?? new Date() }, 'as_of_then', true, {});
  const [at] = await sql<{ position: string }>(database.url, 'select position from as_of_then.checkpoint');
  const [last] = await sql<{ position: string }>(
    database.url,
    `select max(position) as position from event_store.events where recorded_at <= '${second?.at.toISOString()}'`,
  );
  expect(at).toEqual(last);
  await maintenance.buildAsOf({ time: new Date(0) }, 'as_of_nothing', false, {});
  expect(await sql(database.url, 'select from as_of_nothing.authors')).toEqual([]);
  expect(await schemas()).toEqual(['as_of_nothing', 'as_of_then', 'catalogue', 'catalogue_a']);
});
