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
import { READER } from '../../src/postgres/roles.js';
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
      `select nspname as name from pg_namespace where nspname ~ '^(catalogue|as_of|colophon)' order by 1`,
    )
  ).map(({ name }) => name);

const PHASES: Phase[] = ['loading', 'indexing', 'catching up', 'verifying', 'applying'];

/** Something wrong in every table, with all kinds of differences. */
const DAMAGE = [
  `set search_path to catalogue, public`,
  `update authors set name = 'Wrong' where id = '${id('a', 3)}'`,
  `delete from author_book where book_id = '${id('b', 4)}'`,
  `delete from books where id = '${id('b', 4)}'`,
  `insert into authors (id, name, name_sort, words, revision, created_at, updated_at)
   values ('${id('a', 99)}', 'Nobody', 'nobody', ' nobody', 0, now(), now())`,
  `insert into author_book select '${id('a', 99)}', book_id, 2, roles, credited_as, linked_at, linked_by, event_id
   from author_book where book_id = '${id('b', 5)}'`,
  `update book_words set words = words || ' wrong' where book_id = '${id('b', 6)}'`,
  `update waiting_links set position = 7`,
  `delete from removed where kind = 'book'`,
];

/** What tells whether a row was written, even with the same values. */
const versions = async (...tables: string[]) =>
  Promise.all(
    tables.map(async (table) => [
      table,
      (
        await sql<{ at: string }>(
          database.url,
          `select xmin::text || ctid::text as at from catalogue.${table}`,
        )
      )
        .map(({ at }) => at)
        .toSorted(),
    ]),
  );

/** Waits until a session of Colophon runs such a statement. @returns the session's process id. */
async function untilRuns(statement: string): Promise<number> {
  for (;;) {
    const [found] = await sql<{ pid: number }>(
      database.url,
      `select pid from pg_stat_activity where datname = current_database() and state = 'active'
         and pid <> pg_backend_pid() and query like '${statement}%'`,
    );
    if (found) return found.pid;
    await new Promise((again) => setTimeout(again, 20));
  }
}

test.each(PHASES)(
  'a rebuild that loses its connections while %s leaves no trace, and can begin again',
  async (fatal) => {
    const right = await dumpTables(database.url);
    await sql(database.url, ...DAMAGE);
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
    expect(await schemas()).toEqual(['catalogue']);
    expect(await dumpTables(database.url)).toBe(before);
    expect(await maintenance.rebuildOf()).toMatchObject({ phase: 'failed', error: expect.any(String) });

    await maintenance.rebuild({});
    expect(await schemas()).toEqual(['catalogue']);
    expect(await dumpTables(database.url)).toBe(right);
  },
);

test('a rebuild that is stopped leaves no trace', async () => {
  await sql(database.url, ...DAMAGE);
  const before = await dumpTables(database.url);
  for (const fatal of PHASES) {
    const stop = new AbortController();
    const onPhase = async (phase: Phase) => (phase === fatal ? stop.abort() : undefined);
    await expect(maintenance.rebuild({ onPhase, signal: stop.signal })).rejects.toThrow();
    expect(await maintenance.rebuildOf()).toMatchObject({ phase: 'failed', error: 'stopped' });
  }
  expect(await schemas()).toEqual(['catalogue']);
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

test('nothing is applied of what somebody took away meanwhile', async () => {
  await sql(database.url, ...DAMAGE);
  const before = await dumpTables(database.url);
  const onPhase = async (phase: Phase, shadow: string) => {
    if (phase === 'applying') await sql(database.url, `drop schema ${shadow} cascade`);
  };
  await expect(maintenance.rebuild({ onPhase })).rejects.toThrow(
    'another session dropped colophon_rebuild_catalogue.authors',
  );
  expect(await dumpTables(database.url)).toBe(before);
});

test('a connection lost in the middle of a bulk load ends the rebuild, and the next one succeeds', async () => {
  const before = await dumpTables(database.url);
  const large = JSON.stringify({ name: 'x'.repeat(900) });
  await projector.close();
  await sql(
    database.url,
    `insert into event_store.events
     select 62 + n, 'author-' || gen_random_uuid(), 0, gen_random_uuid(), 'AuthorAdded', '${large}',
            '{"actor":"test","schemaVersion":1}', now() from generate_series(1, 3000) n`,
  );
  let killed = 0;
  const readByStream = async function* (to: bigint) {
    for await (const page of store.readByStream(to)) {
      yield page;
      if (killed > 0) continue;
      const { length } = await sql(
        database.url,
        `select pg_terminate_backend(pid, 5000) from pg_stat_activity
         where application_name like 'colophon rebuild%' and query like 'copy colophon%'`,
      );
      killed = length;
    }
  };
  const broken = new Maintenance({
    target: { projection: catalogue, schema: 'catalogue', log: await store.logId() },
    store: Object.assign(Object.create(store) as PostgresEventStore, { readByStream }),
    pool,
    connectionString: database.url,
  });
  await expect(broken.rebuild({})).rejects.toThrow();
  expect(killed).toBeGreaterThan(0);
  expect(await schemas()).toEqual(['catalogue']);
  expect(await dumpTables(database.url)).toBe(before);
  await maintenance.rebuild({});
  expect(await sql(database.url, 'select from catalogue.authors')).toHaveLength(3_019);
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
  const write = async () => {
    await store.append(authorStream(id('a', (n += 1))), 'no-stream', [newEvent()]);
    await caughtUp();
  };
  // Before every phase.
  const { events } = await maintenance.rebuild({ onPhase: write });
  await caughtUp();
  expect(events).toBeGreaterThanOrEqual(65);
  const rebuilt = await dumpTables(database.url);
  await maintenance.rebuild({});
  expect(await dumpTables(database.url)).toBe(rebuilt);
  expect(await sql(database.url, 'select from catalogue.authors')).toHaveLength(19 + PHASES.length);
});

test('tables that are right are not written at all, and tables that are not are written only where they differ', async () => {
  const all = [...catalogue.tables, 'checkpoint', 'parked'];
  const untouched = await versions(...all);
  expect(await maintenance.rebuild({})).toMatchObject({ rows: 0 });
  expect(await maintenance.verify({ repair: true, onDifference: () => undefined })).toMatchObject({
    differences: 0,
    repaired: 0,
  });
  expect(await versions(...all)).toEqual(untouched);

  const right = await dumpTables(database.url);
  for (const mend of [
    () => maintenance.rebuild({}),
    () => maintenance.verify({ repair: true, onDifference: () => undefined }),
  ]) {
    await sql(database.url, ...DAMAGE);
    const before = new Map((await versions('authors', 'books')) as [string, string[]][]);
    await mend();
    expect(await dumpTables(database.url)).toBe(right);
    for (const [table, rows] of (await versions('authors', 'books')) as [string, string[]][])
      // One row of each was written: a name, and a book that was missing. Another author is gone.
      expect([table, rows.filter((row) => !before.get(table)?.includes(row)).length]).toEqual([table, 1]);
    await projector.close();
    projector = projectorOf(catalogue);
    await projector.start();
  }
});

test('killed while it applies, a rebuild leaves every table as it was', async () => {
  const right = await dumpTables(database.url);
  // Authors are written before books.
  await sql(
    database.url,
    ...DAMAGE,
    `create function public.wait() returns trigger language plpgsql as 'begin perform pg_sleep(600); return new; end'`,
    'create trigger slow before insert on catalogue.books for each row execute function public.wait()',
  );
  const before = await dumpTables(database.url);
  const rebuilding = maintenance.rebuild({});
  const killed = expect(rebuilding).rejects.toThrow();
  const pid = await untilRuns('insert into catalogue.books');
  const reader = await sql<{ name: string }>(
    database.url,
    `select name from catalogue.authors where id = '${id('a', 3)}'`,
  );
  expect(reader).toEqual([{ name: 'Wrong' }]);
  await sql(database.url, `select pg_terminate_backend(${pid}, 5000)`);
  await killed;
  expect(await dumpTables(database.url)).toBe(before);
  expect(await schemas()).toEqual(['catalogue']);
  await sql(database.url, 'drop trigger slow on catalogue.books');
  await maintenance.rebuild({});
  expect(await dumpTables(database.url)).toBe(right);
});

test('a reader who only reads holds up nothing', async () => {
  const right = await dumpTables(database.url);
  await sql(database.url, ...DAMAGE);
  const reader = new Client({ connectionString: database.url });
  await reader.connect();
  await reader.query('begin isolation level repeatable read');
  const wrong = await reader.query('select name from catalogue.authors order by id');
  await maintenance.rebuild({ onHeldUp: (holders) => fail(holders) });
  expect(await dumpTables(database.url)).toBe(right);
  // And sees what it saw.
  expect((await reader.query('select name from catalogue.authors order by id')).rows).toEqual(wrong.rows);
  await reader.end();
});

test.each([
  ['a row that differs', `select from catalogue.authors where id = '${id('a', 3)}' for update`],
  ['a row that is right', `select from catalogue.removed for share`],
  ['the checkpoint', `select from catalogue.checkpoint for update`],
  ['a table', `lock table catalogue.books in share mode`],
])(
  'a reader who locks %s is named, and holds up neither the projection nor other readers',
  async (what, lock) => {
    await sql(database.url, ...DAMAGE);
    const reader = new Client({ connectionString: database.url, application_name: 'long report' });
    await reader.connect();
    await reader.query(`begin; ${lock}`);
    const heldUp: string[] = [];
    const rebuilding = maintenance.rebuild({ onHeldUp: (holders) => heldUp.push(holders) });
    while ((await maintenance.rebuildOf())?.heldUpBy == null)
      await new Promise((again) => setTimeout(again, 20));
    expect(heldUp[0]).toMatch(/pid \d+ \(long report, \w+, in a transaction since [\d:]{8} UTC\)/);
    // Only a lock of the checkpoint or of the row itself keeps the projection from going on.
    if (what !== 'the checkpoint' && what !== 'a table') {
      const { position } = await store.append(authorStream(id('a', 8)), 0n, [
        newEvent('AuthorRenamed', { name: 'Author 8' }),
      ]);
      expect(await projector.reached(position, 30_000)).toBe(true);
    }
    await sql(
      database.url,
      'select count(*) from catalogue.authors join catalogue.author_book on id = author_id',
    );
    await reader.query('commit');
    await reader.end();
    await rebuilding;
    await caughtUp();
    await maintenance.verify({ onDifference: (difference) => fail(JSON.stringify(difference)) });
  },
);

test('rebuilds, repairs, retries and the projection under load never wait for each other in a circle', async () => {
  const deadlocks = async () =>
    (
      await sql<{ n: string }>(
        database.url,
        'select pg_stat_force_next_flush()',
        'select deadlocks as n from pg_stat_database where datname = current_database()',
      )
    )[0]?.n;
  const before = await deadlocks();
  let done = false;
  const writer = async (k: number) => {
    for (let n = 0; !done; n += 1) {
      await store.append(authorStream(id('a', 200 + k)), n === 0 ? 'no-stream' : BigInt(n - 1), [
        newEvent(n === 0 ? 'AuthorAdded' : 'AuthorRenamed', { name: `W ${n}` }),
      ]);
      await store.append(bookStream(id('b', 200 + k)), n === 0 ? 'no-stream' : BigInt(n - 1), [
        newEvent(n === 0 ? 'BookAdded' : 'BookRetitled', { title: `W ${n}` }),
      ]);
    }
  };
  const stuck = authorStream(id('a', 9));
  await store.append(stuck, 0n, [newEvent('AuthorRenamed', { name: 9 })]);
  const retry = async () => {
    while (!done) await maintenance.retry(stuck).catch(() => undefined);
  };
  const repair = async () => {
    while (!done) await maintenance.verify({ repair: true, onDifference: () => undefined });
  };
  const work = Promise.all([...[0, 1, 2, 3].map(writer), retry(), repair()]).finally(() => (done = true));
  for (let n = 0; n < 5 && !done; n += 1) {
    await sql(
      database.url,
      `update catalogue.authors set name = name || '?' where id < '${id('a', 20)}'`,
      `update catalogue.books set title = title || '?' where id < '${id('b', 20)}'`,
    );
    await maintenance.rebuild({ allowParked: true });
  }
  done = true;
  await work;
  await caughtUp();
  expect(await deadlocks()).toBe(before);
  await maintenance.verify({ onDifference: (difference) => fail(JSON.stringify(difference)) });
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
    `create publication changes for table catalogue.authors`,
    `create index theirs on catalogue.books (lower(title))`,
    `alter table catalogue.authors add column note text default 'none', add constraint named check (name <> '')`,
    `update catalogue.authors set note = 'mine' where id = '${id('a', 6)}'`,
    `create table reports.shelf (book uuid references catalogue.books on delete restrict, author uuid references catalogue.authors)`,
    `insert into reports.shelf values ('${id('b', 6)}', '${id('a', 6)}')`,
    `create table reports.log (name text)`,
    `create function reports.log() returns trigger language plpgsql as 'begin insert into reports.log values (new.name); return new; end'`,
    `create trigger logged after insert or update on catalogue.authors for each row execute function reports.log()`,
  );
  const belongings = () =>
    sql(
      database.url,
      `select pg_describe_object(classid, objid, objsubid) as what from pg_depend
       where refclassid = 'pg_class'::regclass and refobjid in ('catalogue.authors'::regclass, 'catalogue.books'::regclass, 'catalogue.author_book'::regclass)
       order by 1`,
    );
  const hung = await belongings();
  const right = await dumpTables(database.url);
  await sql(
    database.url,
    ...DAMAGE,
    `update catalogue.authors set name = name || '?' where id <> '${id('a', 99)}'`,
  );
  await maintenance.rebuild({});
  expect(await dumpTables(database.url)).toBe(right);
  expect(
    await sql(
      database.url,
      `select count(*)::integer as n from reports.log where name like 'Author%' and name not like '%?'`,
    ),
  ).toEqual([{ n: 19 }]);
  expect(await belongings()).toEqual(hung);
  // And while empty tables are filled, when our own indexes and keys are made anew.
  await sql(
    database.url,
    'truncate reports.shelf',
    ...['removed', 'waiting_links', 'book_words', 'author_book', 'books', 'authors'].map(
      (table) => `delete from catalogue.${table}`,
    ),
  );
  await maintenance.rebuild({});
  expect((await dumpTables(database.url)).replaceAll('"note": "none"', '"note": "mine"')).toBe(
    right.replaceAll('"note": "none"', '"note": "mine"'),
  );
  expect(await belongings()).toEqual(hung);
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
  await sql(
    database.url,
    `drop publication changes`,
    `drop schema reports cascade`,
    `drop owned by ${role} cascade`,
    `drop role ${role}`,
  );
});

test('what others hang on the tables may refuse a row: then nothing is written, and its name is told', async () => {
  const right = await dumpTables(database.url);
  await sql(database.url, ...DAMAGE);
  const before = await dumpTables(database.url);
  let repair = true;
  for (const [add, name, remove] of [
    [
      `create table public.shelf (author uuid references catalogue.authors);
       insert into public.shelf values ('${id('a', 99)}')`,
      /violates foreign key constraint "shelf_author_fkey" on table "shelf"/,
      'drop table public.shelf',
    ],
    [
      `alter table catalogue.authors add constraint theirs check (name <> 'Author 3')`,
      /violates check constraint "theirs"/,
      'alter table catalogue.authors drop constraint theirs',
    ],
    [
      `create unique index theirs on catalogue.books ((1)) where title in ('Book 4', 'Book 5')`,
      /violates unique constraint "theirs"/,
      'drop index catalogue.theirs',
    ],
    [
      `alter table catalogue.books add column theirs text not null default '';
       alter table catalogue.books alter theirs drop default`,
      /null value in column "theirs" of relation "books"/,
      'alter table catalogue.books drop column theirs',
    ],
    [
      `create function public.refuse() returns trigger language plpgsql as 'begin raise exception ''not on my shelf''; end';
       create trigger theirs before delete on catalogue.author_book for each row execute function public.refuse()`,
      /not on my shelf/,
      'drop trigger theirs on catalogue.author_book',
    ],
  ] as const) {
    await sql(database.url, add);
    repair = !repair;
    const mend = repair
      ? maintenance.verify({ repair, onDifference: () => undefined })
      : maintenance.rebuild({});
    await expect(mend).rejects.toThrow(name);
    await sql(database.url, remove);
    expect(await dumpTables(database.url)).toBe(before);
  }
  await maintenance.rebuild({});
  expect(await dumpTables(database.url)).toBe(right);
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

test('a table of others with a name that a new version needs stops the new version, and stays', async () => {
  await sql(
    database.url,
    `alter table catalogue.authors add column letter text default 'mine'`,
    `create table catalogue.shelves (id integer)`,
    `create index books_by_letter on catalogue.books (lower(title))`,
  );
  const newer = await operatorOf({
    ...next,
    tables: [...catalogue.tables, 'shelves'],
    columns: () => `${next.columns()} create table shelves (id uuid not null);`,
    keys: () =>
      `${catalogue.keys()} create index books_by_letter on books (left(title, 1));
       create unique index shelves_pkey on shelves (id); alter table shelves add primary key using index shelves_pkey;`,
  });
  await expect(newer.rebuild({})).rejects.toThrow(
    /its own column letter of table catalogue.authors, index catalogue.books_by_letter, table catalogue.shelves/,
  );
  expect(await sql(database.url, 'select distinct letter from catalogue.authors')).toEqual([
    { letter: 'mine' },
  ]);
  await newer.close();
});

test('the login for SQL clients can read the tables that a new version adds', async () => {
  const read = (table: string) =>
    sql(database.url, `set role ${READER}`, `select from catalogue.${table} limit 1`);
  await sql(
    database.url,
    `do $$ begin if to_regrole('${READER}') is null then create role ${READER}; end if; end $$`,
  );
  const shown = [...catalogue.tables, 'shelves'];
  const newer = await operatorOf({
    ...next,
    tables: shown,
    shown,
    columns: () => `${next.columns()} create table shelves (id uuid not null);`,
    keys: () =>
      `${catalogue.keys()} create unique index shelves_pkey on shelves (id);
       alter table shelves add primary key using index shelves_pkey;`,
  });
  await newer.rebuild({});
  expect(await read('shelves')).toEqual([]);
  expect(await read('authors')).toHaveLength(1);
  await expect(read('parked')).rejects.toThrow('permission denied');
  await newer.close();
});

test('another version’s tables come in the background, while both versions serve and the old one projects', async () => {
  await sql(database.url, 'create view public.names as select id, name from catalogue.authors');
  // Held up by a reader who locks a row, the rows are not applied yet: both versions run side by side.
  const reader = new Client({ connectionString: database.url, application_name: 'a report' });
  await reader.connect();
  await reader.query('begin; select from catalogue.removed for share');
  const newer = projectorOf(next);
  await newer.start();
  while ((await maintenance.rebuildOf())?.heldUpBy == null)
    await new Promise((again) => setTimeout(again, 20));
  expect(await maintenance.rebuildOf()).toMatchObject({
    phase: 'applying',
    heldUpBy: expect.stringMatching(/pid \d+ \(a report, /),
  });
  // The column is there already, and filled.
  const unfilled = `select name from catalogue.authors where letter is distinct from left(name, 1)`;
  expect(await sql(database.url, unfilled)).toEqual([]);
  const meanwhile = await store.append(authorStream(id('a', 50)), 'no-stream', [
    newEvent('AuthorAdded', { name: 'Meanwhile' }),
  ]);
  expect(await projector.reached(meanwhile.position, 10_000)).toBe(true);
  // The old version does not know the column.
  expect(await sql(database.url, unfilled)).toEqual([{ name: 'Meanwhile' }]);
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
  expect(await sql(database.url, unfilled)).toEqual([]);

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

test('an upgrade that ended before its last step is finished by the next leader, while that projects', async () => {
  await projector.close();
  const newer = await operatorOf(next);
  await newer.rebuild({});
  const finished = await shapeOf('catalogue');
  await sql(
    database.url,
    'set search_path to catalogue',
    'alter table authors alter letter drop not null, add column of_old text',
    'drop index authors_by_name; create index authors_by_name on authors (of_old)',
    'alter table author_book drop constraint author_book_author_id_fkey',
    `update checkpoint set made = made || jsonb_build_object('version', version - 1, 'columns', made->'columns' || '["authors.of_old"]')`,
  );
  // To drop a column takes a moment without readers.
  const reader = new Client({ connectionString: database.url });
  await reader.connect();
  await reader.query('begin; select from catalogue.authors');
  projector = projectorOf(next);
  await projector.start();
  const { position } = await store.append(authorStream(id('a', 60)), 'no-stream', [newEvent()]);
  expect(await projector.reached(position, 10_000)).toBe(true);
  expect(await isUnfinished('catalogue')).toBe(true);
  await reader.end();
  while (await isUnfinished('catalogue')) await new Promise((again) => setTimeout(again, 20));
  expect(await shapeOf('catalogue')).toEqual(finished);
  await newer.close();
});

test('tables of an early version serve until their rows are those of this version', async () => {
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
    'drop table book_words',
    'alter table authors add column name_search text not null',
    'create index authors_name_trigrams on authors using gin (name_search gin_trgm_ops)',
    'drop index books_by_title; create index books_by_title on books (left(title_sort, 200) collate "C", id)',
    'alter table books add column theirs text',
    'create table detached_links (author_id uuid, book_id uuid)',
    'create table checkpoint (projection text primary key, version integer, log_id uuid, position bigint, updated_at timestamptz)',
    `insert into checkpoint values ('catalogue', 2, '${log}', null, now())`,
    `insert into authors (id, name, name_sort, words, revision, created_at, updated_at, name_search)
     values (gen_random_uuid(), 'Of old', 'of old', ' of old', 0, now(), now(), 'of old')`,
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
  while (await isUnfinished('plain')) await new Promise((again) => setTimeout(again, 20));
  expect((await dumpTables(database.url, 'plain')).replaceAll(', "theirs": null', '')).toBe(
    await dumpTables(database.url),
  );
  // Columns, indexes and keys are those of new tables, and what others added.
  const shapes = await Promise.all(['plain', 'catalogue'].map(shapeOf));
  expect(shapes[0]?.filter((line) => !line.includes('theirs'))).toEqual(shapes[1]);
  await newer.close();
});

const isUnfinished = async (schema: string) =>
  (
    await sql<{ version: number; made: { version: number } | null }>(
      database.url,
      `select version, made from ${schema}.checkpoint`,
    )
  ).some(({ version, made }) => made?.version !== version);

/** Columns, indexes and constraints of a schema's tables, as text. */
const shapeOf = async (schema: string) =>
  (
    await sql<{ line: string }>(
      database.url,
      `set search_path to ${schema}, public`,
      `select concat_ws(' ', table_name, column_name, data_type, collation_name, is_nullable, column_default) as line
         from information_schema.columns where table_schema = '${schema}' and table_name <> 'rebuilds'
       union all select pg_get_indexdef(indexrelid) from pg_index join pg_class c on c.oid = indexrelid
         where c.relnamespace = '${schema}'::regnamespace
       union all select pg_get_constraintdef(oid) from pg_constraint where connamespace = '${schema}'::regnamespace
       order by 1`,
    )
  ).map(({ line }) => line.replaceAll(`${schema}.`, ''));

describe('partitioned tables of an early version', () => {
  const KEYS = {
    authors: 'id',
    books: 'id',
    author_book: 'author_id, book_id',
    book_words: 'book_id',
    waiting_links: 'author_id, book_id',
    removed: 'kind, id',
    checkpoint: 'projection',
    parked: 'position',
  };

  /** Turns the tables into what early versions had. */
  beforeEach(async () => {
    await projector.close();
    const references = ['author_id', 'book_id'].map((column) => `author_book_${column}_fkey`);
    await sql(
      database.url,
      'create schema catalogue_b',
      `comment on schema catalogue_b is 'Made by Colophon: tables of catalogue'`,
      ...references.map((name) => `alter table catalogue.author_book drop constraint ${name}`),
      'alter table catalogue.checkpoint drop column made',
      ...Object.entries(KEYS).flatMap(([table, key]) => [
        `alter table catalogue.${table} set schema catalogue_b`,
        `create table catalogue.${table} (like catalogue_b.${table} including defaults) partition by list (${key.split(',')[0]})`,
        `alter table catalogue.${table} add primary key (${key})`,
        `alter table catalogue.${table} attach partition catalogue_b.${table} default`,
      ]),
      `set search_path to catalogue`,
      catalogue.references(),
    );
  });

  test('become plain tables, with the views, grants, comments, columns and indexes of others', async () => {
    const role = `analyst_${database.name.slice(-12)}`;
    const before = await dumpTables(database.url);
    await sql(
      database.url,
      `create role ${role}`,
      `grant usage on schema catalogue to ${role}`,
      `grant select on catalogue.authors to ${role} with grant option`,
      `grant select (title) on catalogue.books to ${role}`,
      `grant select on catalogue.author_book to public`,
      `comment on table catalogue.authors is 'who “writes”, it’s said'`,
      `comment on column catalogue.books.title is 'as printed'`,
      `create view public.names with (security_barrier = true) as select id, name from catalogue.authors where name <> 'it''s'`,
      `create view public.again as select n.name, b.title from public.names n, catalogue.author_book l, catalogue.books b
       where l.author_id = n.id and b.id = l.book_id`,
      `grant select on public.again to ${role}`,
      `create index theirs on catalogue.books (lower(title))`,
      `alter table catalogue.authors add column note text default 'none', add constraint named check (name <> '')`,
    );
    projector = projectorOf(catalogue);
    await projector.start();
    await caughtUp();
    const link = await store.append(authorStream(id('a', 3)), 0n, [
      newEvent('AuthorRenamed', { name: 'New' }),
    ]);
    expect(await projector.reached(link.position, 10_000)).toBe(true);
    await maintenance.verify({ onDifference: (difference) => fail(JSON.stringify(difference)) });
    expect(await schemas()).toEqual(['catalogue']);
    expect((await dumpTables(database.url)).length).toBeGreaterThan(before.length);
    const seen = await sql(
      database.url,
      `set role ${role}`,
      `select (select count(*)::integer from public.again where name = 'New' and title = 'Book 3') as again,
              (select count(*)::integer from catalogue.authors where note = 'none') as authors,
              (select count(title)::integer from catalogue.books) as titles,
              (select count(*)::integer from catalogue.author_book) as links,
              obj_description('catalogue.authors'::regclass) as comment,
              col_description('catalogue.books'::regclass, 2) as printed,
              (select reloptions from pg_class where oid = 'public.names'::regclass) as options,
              (select count(*)::integer from pg_class where relname = 'theirs' and relkind = 'i') as indexes,
              (select count(*)::integer from pg_constraint where conrelid = 'catalogue.authors'::regclass and conname = 'named') as checks,
              has_table_privilege('catalogue.authors', 'select with grant option') as granting,
              (select count(*)::integer from pg_class where relnamespace = 'catalogue'::regnamespace and relkind = 'p') as partitioned`,
    );
    expect(seen).toEqual([
      {
        again: 1,
        authors: 19,
        titles: 19,
        links: 18,
        comment: 'who “writes”, it’s said',
        printed: 'as printed',
        options: ['security_barrier=true'],
        indexes: 1,
        checks: 1,
        granting: true,
        partitioned: 0,
      },
    ]);
    while (await isUnfinished('catalogue')) await new Promise((again) => setTimeout(again, 20));
    const references = await sql(
      database.url,
      `select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'catalogue.author_book'::regclass and contype = 'f' order by 1`,
    );
    expect(references).toHaveLength(2);
    await sql(database.url, `drop owned by ${role}`, `drop role ${role}`);
  });

  test.each([
    [
      `create materialized view public.counts as select count(*) from catalogue.books`,
      'materialized view counts',
    ],
    [
      `create table public.shelf (book uuid references catalogue.books)`,
      'constraint shelf_book_fkey on table public.shelf',
    ],
    [
      `create publication changes for table catalogue.authors`,
      'publication of table catalogue.authors in publication changes',
    ],
    [`create policy mine on catalogue.authors using (true)`, 'policy mine on table catalogue.authors'],
    [
      `create function public.nothing() returns trigger language plpgsql as 'begin return new; end';
       create trigger theirs after insert on catalogue.books for each row execute function public.nothing()`,
      'trigger theirs on table catalogue.books',
    ],
    [
      `create function public.number() returns bigint language sql begin atomic select count(*) from catalogue.books; end`,
      'function public.number()',
    ],
    [
      `create view public.whole as select a from catalogue.authors a`,
      "view public.whole can't be made again",
    ],
    [`create statistics public.theirs on name, words from catalogue.authors`, 'statistics object theirs'],
  ])('stay as they are if this is in the way: %s', async (statement, name) => {
    await sql(database.url, statement);
    const before = await dumpTables(database.url);
    const refused = projectorOf(catalogue);
    await expect(refused.start()).rejects.toThrow(/can't become plain tables/);
    await expect(refused.start()).rejects.toThrow(
      name.replace(/^(materialized view|statistics object) /, ''),
    );
    expect(await dumpTables(database.url)).toBe(before);
    expect(await schemas()).toEqual(['catalogue', 'catalogue_b']);
    await refused.close();
  });

  test('wait for a session that holds them, and say which', async () => {
    const reader = new Client({ connectionString: database.url, application_name: 'a report' });
    await reader.connect();
    await reader.query('begin; select from catalogue.authors');
    const refused = projectorOf(catalogue);
    await expect(refused.start()).rejects.toThrow(/can't become plain tables: .*pid \d+ \(a report, /);
    await reader.end();
    projector = projectorOf(catalogue);
    await projector.start();
    await caughtUp();
  });
});

test('a version that drops a column that a view uses is held up, and says by what', async () => {
  const newer = await operatorOf(next);
  await newer.rebuild({});
  await sql(database.url, 'create view public.letters as select letter from catalogue.authors');
  const before = await versions('authors');
  await expect(maintenance.rebuild({})).rejects.toThrow(
    /cannot drop column letter .* because other objects depend on it .*view letters/,
  );
  await sql(database.url, 'drop view letters', 'create index theirs on catalogue.authors (letter)');
  await expect(maintenance.rebuild({})).rejects.toThrow(/other columns, which index catalogue.theirs needs/);
  await sql(
    database.url,
    'drop index catalogue.theirs',
    `alter table catalogue.authors add check (letter <> '')`,
  );
  await expect(maintenance.rebuild({})).rejects.toThrow(
    /other columns, which constraint authors_letter_check .* needs/,
  );
  expect(await versions('authors')).toEqual(before);
  await sql(
    database.url,
    'alter table catalogue.authors drop constraint authors_letter_check',
    'create view public.letters as select letter from catalogue.authors',
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
  for (const reserved of ['catalogue_b', 'colophon_x'])
    await expect(maintenance.buildAsOf({ position }, reserved, true, {})).rejects.toThrow('are reserved for');
  await expect(maintenance.buildAsOf({ position: 10_000n }, 'as_of_x', false, {})).rejects.toThrow(
    'beyond the end of the log',
  );

  // Neither somebody's schema, nor one that happens to be where we would build.
  await sql(database.url, 'create schema theirs', 'create table theirs.notes (text text)');
  await expect(maintenance.buildAsOf({ position }, 'theirs', true, {})).rejects.toThrow('something else');
  await sql(database.url, 'drop schema theirs cascade');
  for (const [taken, work] of [
    ['colophon_rebuild_catalogue', () => maintenance.rebuild({})],
    ['colophon_rebuild_catalogue', () => maintenance.startRebuild({})],
    ['colophon_verify_catalogue', () => maintenance.verify({ onDifference: () => undefined })],
    ['colophon_building_as_of_x', () => maintenance.buildAsOf({ position }, 'as_of_x', false, {})],
  ] as const) {
    await sql(database.url, `create schema ${taken}`, `create table ${taken}.notes (text text)`);
    await expect(work()).rejects.toThrow(`the schema ${taken} was not created by Colophon`);
    await sql(database.url, `drop schema ${taken} cascade`);
  }

  await maintenance.buildAsOf({ time: second?.at ?? new Date() }, 'as_of_then', true, {});
  const [at] = await sql<{ position: string }>(database.url, 'select position from as_of_then.checkpoint');
  const [last] = await sql<{ position: string }>(
    database.url,
    `select max(position) as position from event_store.events where recorded_at <= '${second?.at.toISOString()}'`,
  );
  expect(at).toEqual(last);
  await maintenance.buildAsOf({ time: new Date(0) }, 'as_of_nothing', false, {});
  expect(await sql(database.url, 'select from as_of_nothing.authors')).toEqual([]);
  expect(await schemas()).toEqual(['as_of_nothing', 'as_of_then', 'catalogue']);
});
