import { Client, type Pool } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { Maintenance } from '../../projections/maintenance.js';
import type { Phase } from '../../projections/build/build.js';
import { authorStream } from '../../src/authors/author.events.js';
import { bookStream } from '../../src/books/book.events.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import type { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { transfer } from '../../src/event-store/transfer.js';
import { skip } from '../support/acts.js';
import { sql, type TestDatabase } from '../support/database.js';
import { newEvent } from '../support/events.js';
import { id, LiveTables } from '../support/live-tables.js';
import { dumpTables } from '../support/tables.js';

let live: LiveTables;
let database: TestDatabase;
let pool: Pool;
let store: PostgresEventStore;
let maintenance: Maintenance;
beforeEach(async () => {
  live = await LiveTables.make();
  ({ database, pool, store, maintenance } = live);
});
afterEach(() => live.close());

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
  `insert into author_redirects values ('${id('a', 5)}', '${id('a', 6)}', null)`,
  `delete from authors_without_books`,
  `delete from removed where kind = 'book'`,
];

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
    expect(await live.schemas()).toEqual(['catalogue']);
    expect(await dumpTables(database.url)).toBe(before);
    expect(await maintenance.rebuildOf()).toMatchObject({ phase: 'failed', error: expect.any(String) });

    await maintenance.rebuild({});
    expect(await live.schemas()).toEqual(['catalogue']);
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
  expect(await live.schemas()).toEqual(['catalogue']);
  expect(await dumpTables(database.url)).toBe(before);
});

test.each([
  ['a row is missing', `delete from SHADOW.books where id = '${id('b', 5)}'`],
  [
    'an event was applied twice',
    `update SHADOW.authors set revision = revision + 1 where id = '${id('a', 5)}'`,
  ],
])('nothing is applied if %s', async (_, damage) => {
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
  await live.projector.close();
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
  expect(await live.schemas()).toEqual(['catalogue']);
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
  await live.caughtUp();
  const [, bad] = await store.readStream(stream);
  if (bad) await skip(store, bad);
  await live.caughtUp();
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
  await live.caughtUp();
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
    await live.caughtUp();
  };
  // Before every phase.
  const { events } = await maintenance.rebuild({ onPhase: write });
  await live.caughtUp();
  expect(events).toBeGreaterThanOrEqual(65);
  const rebuilt = await dumpTables(database.url);
  await maintenance.rebuild({});
  expect(await dumpTables(database.url)).toBe(rebuilt);
  expect(await sql(database.url, 'select from catalogue.authors')).toHaveLength(19 + PHASES.length);
});

test('tables that are right are not written at all, and tables that are not are written only where they differ', async () => {
  const all = [...catalogue.tables, 'checkpoint', 'parked'];
  const untouched = await live.versions(...all);
  expect(await maintenance.rebuild({})).toMatchObject({ rows: 0 });
  expect(await maintenance.verify({ repair: true, onDifference: () => undefined })).toMatchObject({
    differences: 0,
    repaired: 0,
  });
  expect(await live.versions(...all)).toEqual(untouched);

  const right = await dumpTables(database.url);
  for (const mend of [
    () => maintenance.rebuild({}),
    () => maintenance.verify({ repair: true, onDifference: () => undefined }),
  ]) {
    await sql(database.url, ...DAMAGE);
    const before = new Map((await live.versions('authors', 'books')) as [string, string[]][]);
    await mend();
    expect(await dumpTables(database.url)).toBe(right);
    for (const [table, rows] of (await live.versions('authors', 'books')) as [string, string[]][])
      // One row of each was written: a name, and a book that was missing. Another author is gone.
      expect([table, rows.filter((row) => !before.get(table)?.includes(row)).length]).toEqual([table, 1]);
    await live.projector.close();
    live.projector = live.projectorOf(catalogue);
    await live.projector.start();
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
  expect(await live.schemas()).toEqual(['catalogue']);
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
      expect(await live.projector.reached(position, 30_000)).toBe(true);
    }
    await sql(
      database.url,
      'select count(*) from catalogue.authors join catalogue.author_book on id = author_id',
    );
    await reader.query('commit');
    await reader.end();
    await rebuilding;
    await live.caughtUp();
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
  await live.caughtUp();
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
    ...catalogue.tables.toReversed().map((table) => `delete from catalogue.${table}`),
  );
  await maintenance.rebuild({});
  expect((await dumpTables(database.url)).replaceAll('"note": "none"', '"note": "mine"')).toBe(
    right.replaceAll('"note": "none"', '"note": "mine"'),
  );
  expect(await belongings()).toEqual(hung);
  await store.append(authorStream(id('a', 40)), 'no-stream', [newEvent('AuthorAdded', { name: 'New' })]);
  await live.caughtUp();
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
  expect(await live.schemas()).toEqual(['as_of_nothing', 'as_of_then', 'catalogue']);
});
