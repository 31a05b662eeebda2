import { Client, type Pool } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import type { Maintenance } from '../../projections/maintenance.js';
import type { Projection } from '../../projections/projection.js';
import { Projector } from '../../projections/projector.js';
import { authorStream } from '../../src/authors/author.events.js';
import type { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { READER } from '../../src/postgres/roles.js';
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

/** The catalogue with one more column, the letter that an author is filed under, and a table of these letters. */
const next: Projection = {
  ...catalogue,
  version: catalogue.version + 1,
  readable: catalogue.version,
  tables: [...catalogue.tables, 'letters'],
  shown: [...catalogue.tables, 'letters'],
  columns: () =>
    `${catalogue
      .columns()
      .replace(
        'name_sort  text collate "C" not null,',
        `name_sort text collate "C" not null, letter text not null default '?',`,
      )} create table letters (author_id uuid not null, letter text not null);`,
  keys: () =>
    `${catalogue.keys()} create index letters_by_letter on letters (letter);
     create unique index letters_pkey on letters (author_id); alter table letters add primary key using index letters_pkey;`,
  apply: async (client, events) => {
    await catalogue.apply(client, events);
    await client.query(`update authors set letter = left(name, 1) where letter <> left(name, 1)`);
    await client.query(LETTERS);
  },
  bulk: {
    ...catalogue.bulk,
    settle: async (client) => {
      await catalogue.bulk.settle(client);
      await client.query('update authors set letter = left(name, 1)');
      await client.query(LETTERS);
    },
  },
};
const LETTERS = 'insert into letters select id, letter from authors on conflict do nothing';

test('a table of others with a name that a new version needs stops the new version, and stays', async () => {
  await sql(
    database.url,
    `alter table catalogue.authors add column letter text default 'mine'`,
    `create table catalogue.shelves (id integer)`,
    `create index books_by_letter on catalogue.books (lower(title))`,
  );
  const newer = live.operatorOf({
    ...next,
    tables: [...next.tables, 'shelves'],
    columns: () => `${next.columns()} create table shelves (id uuid not null);`,
    keys: () =>
      `${next.keys()} create index books_by_letter on books (left(title, 1));
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
  const newer = live.operatorOf(next);
  await newer.rebuild({});
  expect(await read('letters')).toHaveLength(1);
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
  const newer = live.projectorOf(next);
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
  // And so is the table.
  const unlisted = `select name from catalogue.authors a where not exists
    (select from catalogue.letters l where l.author_id = a.id and l.letter = left(a.name, 1))`;
  expect(await sql(database.url, 'select from catalogue.letters')).toHaveLength(19);
  expect(await sql(database.url, unlisted)).toEqual([]);
  const meanwhile = await store.append(authorStream(id('a', 50)), 'no-stream', [
    newEvent('AuthorAdded', { name: 'Meanwhile' }),
  ]);
  expect(await live.projector.reached(meanwhile.position, 10_000)).toBe(true);
  // The old version knows neither.
  expect(await sql(database.url, unfilled)).toEqual([{ name: 'Meanwhile' }]);
  expect(await sql(database.url, unlisted)).toEqual([{ name: 'Meanwhile' }]);
  expect(await newer.reached(meanwhile.position, 10_000)).toBe(true);
  expect(await live.projector.status()).toMatchObject({
    version: catalogue.version,
    tables: catalogue.version,
    active: true,
  });
  expect(await newer.status()).toMatchObject({
    version: next.version,
    tables: catalogue.version,
    active: false,
  });
  expect([newer.readable, newer.current]).toEqual([true, false]);
  await reader.query('commit');
  await reader.end();
  while ((await newer.status()).tables !== next.version) await new Promise((again) => setTimeout(again, 20));
  expect(newer.current).toBe(true);
  expect(await sql(database.url, unfilled)).toEqual([]);
  expect(await sql(database.url, unlisted)).toEqual([]);

  const after = await store.append(authorStream(id('a', 51)), 'no-stream', [
    newEvent('AuthorAdded', { name: 'After' }),
  ]);
  expect(await newer.reached(after.position, 10_000)).toBe(true);
  // The old version goes on reading.
  expect(await live.projector.reached(after.position, 10_000)).toBe(true);
  expect(live.projector.readable).toBe(true);
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
  expect(await sql(database.url, unlisted)).toEqual([]);
  expect(await sql(database.url, `select from names where name in ('After', 'Author 3')`)).toHaveLength(2);
  expect((await live.projector.status()).error).toContain(
    `of version ${next.version}, made by a newer Colophon`,
  );
  await newer.close();

  // Back again, as after a deployment that was taken back.
  await maintenance.rebuild({});
  await live.caughtUp();
  await expect(sql(database.url, 'select letter from catalogue.authors')).rejects.toThrow('does not exist');
  await expect(sql(database.url, 'select from catalogue.letters')).rejects.toThrow('does not exist');
});

test('a table of an upgrade that was given up goes with a rebuild of the old version', async () => {
  const { columns, ...rest } = next;
  const newer = live.operatorOf({
    ...rest,
    columns: () =>
      `${catalogue.columns()} ${columns().slice(columns().indexOf('create table letters'))} alter table letters alter letter drop not null;`,
    bulk: {
      ...catalogue.bulk,
      settle: async (client) => {
        await catalogue.bulk.settle(client);
        await client.query('insert into letters select id from authors');
      },
    },
  });
  const reader = new Client({ connectionString: database.url });
  await reader.connect();
  await reader.query('begin; select from catalogue.removed for share');
  const stop = new AbortController();
  const upgrade = newer.rebuild({ signal: stop.signal });
  const refused = expect(upgrade).rejects.toThrow();
  while ((await newer.rebuildOf())?.heldUpBy == null) await new Promise((again) => setTimeout(again, 20));
  expect(await sql(database.url, 'select from catalogue.letters')).toHaveLength(19);
  stop.abort();
  await refused;
  await reader.end();
  await maintenance.rebuild({});
  await expect(sql(database.url, 'select from catalogue.letters')).rejects.toThrow('does not exist');
  await live.caughtUp();
  await newer.close();
});

test('an upgrade that ended before its last step is finished by the next leader, while that projects', async () => {
  await live.projector.close();
  const newer = live.operatorOf(next);
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
  live.projector = live.projectorOf(next);
  await live.projector.start();
  const { position } = await store.append(authorStream(id('a', 60)), 'no-stream', [newEvent()]);
  expect(await live.projector.reached(position, 10_000)).toBe(true);
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
    'drop table book_words; drop table author_redirects; drop table authors_without_books',
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
    author_redirects: 'author_id',
    authors_without_books: 'author_id',
    waiting_links: 'author_id, book_id',
    removed: 'kind, id',
    checkpoint: 'projection',
    parked: 'position',
  };

  /** Turns the tables into what early versions had. */
  beforeEach(async () => {
    await live.projector.close();
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
    live.projector = live.projectorOf(catalogue);
    await live.projector.start();
    await live.caughtUp();
    const link = await store.append(authorStream(id('a', 3)), 0n, [
      newEvent('AuthorRenamed', { name: 'New' }),
    ]);
    expect(await live.projector.reached(link.position, 10_000)).toBe(true);
    await maintenance.verify({ onDifference: (difference) => fail(JSON.stringify(difference)) });
    expect(await live.schemas()).toEqual(['catalogue']);
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
    const refused = live.projectorOf(catalogue);
    await expect(refused.start()).rejects.toThrow(/can't become plain tables/);
    await expect(refused.start()).rejects.toThrow(
      name.replace(/^(materialized view|statistics object) /, ''),
    );
    expect(await dumpTables(database.url)).toBe(before);
    expect(await live.schemas()).toEqual(['catalogue', 'catalogue_b']);
    await refused.close();
  });

  test('wait for a session that holds them, and say which', async () => {
    const reader = new Client({ connectionString: database.url, application_name: 'a report' });
    await reader.connect();
    await reader.query('begin; select from catalogue.authors');
    const refused = live.projectorOf(catalogue);
    await expect(refused.start()).rejects.toThrow(/can't become plain tables: .*pid \d+ \(a report, /);
    await reader.end();
    live.projector = live.projectorOf(catalogue);
    await live.projector.start();
    await live.caughtUp();
  });
});

test('a version that drops a column that a view uses is held up, and says by what', async () => {
  const newer = live.operatorOf(next);
  await newer.rebuild({});
  await sql(database.url, 'create view public.letters as select letter from catalogue.authors');
  const before = await live.versions('authors');
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
  expect(await live.versions('authors')).toEqual(before);
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
