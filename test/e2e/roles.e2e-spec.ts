import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type DatabaseError } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { EmbeddedServer } from '../../src/postgres/embedded/embedded-server.js';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, sql } from '../support/database.js';
import { ownerUrlOf, printedUrl, serviceUrlOf } from '../support/embedded.js';
import { ROOT, start, startService, type RunningService } from '../support/process.js';
import { send, type RequestOptions } from '../support/service.js';

/** The logins of the embedded server: of its owner, of the service, and of readers. */

let folder: string;
let service: RunningService;
const dataDir = () => join(folder, 'data');
const owner = () => ownerUrlOf(dataDir());
const request = (method: string, path: string, options?: RequestOptions) =>
  send(`${service.url}${path}`, method, options);
const end = async () => {
  service.process.kill('SIGTERM');
  expect(await service.ended).toBe(0);
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'colophon-roles-'));
  // Where root runs the tests, the embedded server runs as another user, who must get in.
  chmodSync(folder, 0o755);
  service = await startService({ DATA_DIR: dataDir() });
  await request('POST', '/imports', {
    raw: readFileSync(join(ROOT, 'samples', 'classics.ndjson'), 'utf8'),
    headers: { 'content-type': 'application/x-ndjson' },
  });
  await caughtUp({ request });
});
afterAll(async () => {
  await end();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs each statement in a session of its own right, and tells how the server answers. */
async function answersTo(url: string, statements: readonly string[]): Promise<Record<string, string>> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  const answers: Record<string, string> = {};
  try {
    for (const statement of statements) {
      // The rights count, not the settings that a session begins with.
      await client.query('set default_transaction_read_only = off');
      if (statement.startsWith('lock')) await client.query('begin');
      answers[statement] = await client.query(statement).then(
        () => 'done',
        (error: DatabaseError) => (error.code === '42501' ? 'denied' : `${error.code}: ${error.message}`),
      );
      await client.query('rollback');
    }
  } finally {
    await client.end();
  }
  return answers;
}
const all = (statements: readonly string[], answer: string) =>
  Object.fromEntries(statements.map((statement) => [statement, answer]));

const LOCK_MODES = [
  'row share',
  'row exclusive',
  'share update exclusive',
  'share',
  'exclusive',
  'access exclusive',
];
const APPEND_LOCK = '4859221748839116654';
/** What no login but the owner's may do: reach out of the database, or become another role. */
const BEYOND = [
  `copy (select 1) to program 'true'`,
  `copy (select 1) to '/colophon-out'`,
  `create temporary table t (line text); copy t from program 'id'`,
  `do $$ begin execute 'copy (select 1) to program ''true'''; end $$`,
  `select pg_read_file('PG_VERSION')`,
  `select pg_ls_dir('.')`,
  `select lo_import('/etc/passwd')`,
  `load 'anything'`,
  `select rolpassword from pg_authid`,
  `alter system set fsync = off`,
  `select pg_reload_conf()`,
  `alter database colophon set fsync = off`,
  `create role another`,
  `create database another`,
  `alter role colophon password 'x'`,
  `alter role current_user superuser`,
  `set role colophon`,
  `set session authorization colophon`,
  `set session_replication_role = replica`,
  `grant colophon to current_user`,
  `create function pg_temp.f() returns integer language c as 'libc', 'f'`,
];

describe('the login that is printed', () => {
  const reader = () => printedUrl(service);

  test('reads the tables, and begins with settings that are in nobody’s way', async () => {
    expect(new URL(reader()).username).toBe('catalogue_reader');
    for (const table of catalogue.tables) await sql(reader(), `select * from catalogue.${table} limit 1`);
    expect(await sql(reader(), 'select count(*)::integer as n from catalogue.authors')).toEqual([{ n: 78 }]);
    const SETTINGS = {
      default_transaction_read_only: 'on',
      statement_timeout: '5min',
      lock_timeout: '10s',
      idle_in_transaction_session_timeout: '1min',
      temp_file_limit: '1GB',
      log_min_messages: 'fatal',
    };
    const rows = await sql<{ name: string; setting: string }>(
      reader(),
      `select name, current_setting(name) as setting from pg_settings where name = any('{${Object.keys(SETTINGS).join()}}')`,
    );
    expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual(SETTINGS);
  });

  test('sees the keys of the tables in `information_schema`, which tools look at', async () => {
    const keys = await sql<{ key: string }>(
      reader(),
      `select format('%s(%s)', k.table_name, string_agg(c.column_name, ',' order by c.ordinal_position))
                || coalesce(' refers to ' || max(u.table_name || '(' || u.column_name || ')'), '') as key
       from information_schema.table_constraints k
       join information_schema.key_column_usage c using (constraint_schema, constraint_name)
       left join information_schema.referential_constraints r using (constraint_schema, constraint_name)
       left join information_schema.key_column_usage u
         on u.constraint_schema = r.unique_constraint_schema and u.constraint_name = r.unique_constraint_name
           and u.ordinal_position = c.position_in_unique_constraint
       where k.table_schema = 'catalogue' and constraint_type in ('PRIMARY KEY', 'FOREIGN KEY')
       group by k.table_name, k.constraint_name`,
    );
    expect(keys.map(({ key }) => key).toSorted()).toEqual([
      'author_book(author_id) refers to authors(id)',
      'author_book(author_id,book_id)',
      'author_book(book_id) refers to books(id)',
      'author_redirects(author_id)',
      'authors(id)',
      'authors_without_books(author_id)',
      'book_words(book_id)',
      'books(id)',
      'removed(kind,id)',
      'waiting_links(author_id,book_id)',
    ]);
  });

  test('reaches nothing else', async () => {
    const [reach] = await sql(
      owner(),
      `with relation as (
         select c.oid, c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = relnamespace
         where relkind in ('r', 'p', 'v', 'm', 'S', 'f') and nspname !~ '^pg_|^information_schema$'
       )
       select
         (select json_agg(nspname order by nspname) from pg_namespace
          where nspname !~ '^pg_(toast|temp)' and has_schema_privilege('catalogue_reader', oid, 'usage')) as schemas,
         (select count(*)::integer from pg_namespace
          where has_schema_privilege('catalogue_reader', oid, 'create')) as creates,
         (select json_agg(datname order by datname) from pg_database
          where has_database_privilege('catalogue_reader', oid, 'connect') and datallowconn) as databases,
         has_database_privilege('catalogue_reader', current_database(), 'create, temporary') as more,
         (select json_agg(name order by name) from relation
          where has_any_column_privilege('catalogue_reader', oid, 'select')) as reads,
         (select count(*)::integer from relation
          where has_table_privilege('catalogue_reader', oid, 'insert, update, delete, truncate, trigger')
             or has_any_column_privilege('catalogue_reader', oid, 'insert, update')) as writes`,
    );
    expect(reach).toEqual({
      schemas: ['catalogue', 'information_schema', 'pg_catalog'],
      creates: 0,
      databases: ['colophon'],
      more: false,
      reads: catalogue.tables.map((table) => `catalogue.${table}`).toSorted(),
      writes: 0,
    });
    for (const database of ['postgres', 'template1']) {
      const url = new URL(reader());
      url.pathname = database;
      await expect(sql(url.href, 'select 1')).rejects.toThrow('permission denied for database');
    }
  });

  test('is denied the log, Colophon’s own tables, and every write', async () => {
    const statements = [
      'select from event_store.events',
      'select from event_store.log',
      'select from commands.idempotency_keys',
      'select from catalogue.checkpoint',
      'select from catalogue.parked',
      'select from catalogue.rebuilds',
      `select event_store.append_events('{}', '{}', '{}', '{}', '{}', '{}', '', '')`,
      'delete from event_store.events',
      'insert into catalogue.authors select * from catalogue.authors',
      `update catalogue.authors set name = ''`,
      'delete from catalogue.author_book',
      'truncate catalogue.author_book',
      'copy catalogue.authors from stdin',
      'create temporary table t ()',
      'create table catalogue.t (id uuid references catalogue.authors)',
      'create table public.t ()',
      'create schema s',
      'create view catalogue.v as select 1',
      'create function pg_temp.f() returns integer language sql as $$ select 1 $$',
      'create extension pg_trgm with schema catalogue cascade',
      'create publication p for table catalogue.authors',
      'create index on catalogue.authors (name)',
      'alter table catalogue.authors add column x integer',
      'drop table catalogue.author_book',
      'drop owned by colophon_service',
      `comment on table catalogue.authors is ''`,
      'reindex table catalogue.authors',
      'select lo_create(0)',
      `select lo_from_bytea(0, 'x')`,
      `select pg_logical_emit_message(false, 'x', repeat('x', 100))`,
      `alter role colophon_service password 'x'`,
      'set role colophon_service',
      'set temp_file_limit = -1',
      'set log_min_messages = debug5',
      'alter role current_user connection limit -1',
      ...BEYOND,
    ];
    // pg_trgm exists, which the server says before it looks at rights.
    const expected = {
      ...all(statements, 'denied'),
      'create extension pg_trgm with schema catalogue cascade': expect.stringContaining('already exists'),
    };
    expect(await answersTo(reader(), statements)).toEqual(expected);
  });

  test('can take no lock, and end no session, that the service depends on', async () => {
    const [backend] = await sql<{ pid: number }>(
      owner(),
      `select pid from pg_stat_activity where application_name = 'colophon leader'`,
    );
    const locks = ['', 'try_'].flatMap((attempt) =>
      ['', 'xact_'].flatMap((transaction) =>
        ['', '_shared'].flatMap((shared) =>
          [APPEND_LOCK, '1, 1'].map(
            (key) => `select pg_${attempt}advisory_${transaction}lock${shared}(${key})`,
          ),
        ),
      ),
    );
    const statements = [
      ...locks,
      ...['update', 'no key update', 'share', 'key share'].map(
        (strength) => `select from catalogue.authors for ${strength}`,
      ),
      ...LOCK_MODES.map((mode) => `lock table catalogue.authors in ${mode} mode`),
      'lock table event_store.events in access share mode',
      'lock table catalogue.checkpoint in access share mode',
      `select pg_terminate_backend(${backend?.pid})`,
      `select pg_cancel_backend(${backend?.pid})`,
    ];
    expect(await answersTo(reader(), statements)).toEqual(all(statements, 'denied'));
    const seen = await sql<{ query: string }>(
      reader(),
      `select distinct query from pg_stat_activity where usename = 'colophon_service'`,
    );
    expect(seen).toEqual([{ query: '<insufficient privilege>' }]);
  });

  test('an open transaction of a reader holds up no change', async () => {
    const client = new Client({ connectionString: reader() });
    await client.connect();
    await client.query('begin isolation level repeatable read');
    await client.query(
      `lock table ${catalogue.tables.map((table) => `catalogue.${table}`).join()} in access share mode`,
    );
    await client.query('select from catalogue.authors');
    const added = await request('POST', '/authors', { body: { name: 'Written Beside A Reader' } });
    await caughtUp({ request });
    expect((await request('GET', `/authors/${added.body.id}`)).status).toBe(200);
    await client.query('commit');
    await client.end();
  });
});

describe('the login of the service', () => {
  const own = () => serviceUrlOf(dataDir());

  test('is the only one that the running service uses, and is no superuser', async () => {
    const sessions = await sql(
      owner(),
      `select distinct usename, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls from pg_stat_activity
       join pg_roles on rolname = usename where application_name like 'colophon%'`,
    );
    const no = { rolsuper: false, rolcreaterole: false, rolcreatedb: false, rolreplication: false };
    expect(sessions).toEqual([{ usename: 'colophon_service', ...no, rolbypassrls: false }]);
  });

  test('may only read the log and append to it', async () => {
    const statements = [
      `update event_store.events set type = 'X'`,
      'delete from event_store.events',
      'truncate event_store.events',
      'select from event_store.events for update',
      'lock table event_store.events in access exclusive mode',
      'alter table event_store.events add column x integer',
      'drop table event_store.events',
      'drop schema event_store cascade',
      'create table event_store.t ()',
      'create index on event_store.events (type)',
      'create rule r as on insert to event_store.events do instead nothing',
      'create trigger t before insert on event_store.events execute function suppress_redundant_updates_trigger()',
      'create or replace function event_store.append_events() returns integer language sql as $$ select 1 $$',
      'update event_store.log set id = gen_random_uuid()',
      'delete from event_store.log',
      'delete from event_store.migrations',
      'grant delete on event_store.events to catalogue_reader',
      ...BEYOND,
    ];
    const expected: Record<string, unknown> = all(statements, 'denied');
    // The server warns, and grants nothing.
    expected['grant delete on event_store.events to catalogue_reader'] = expect.stringMatching(/done|denied/);
    expect(await answersTo(own(), statements)).toEqual(expected);
    const [rights] = await sql(
      owner(),
      `select has_table_privilege('colophon_service', 'event_store.events', 'select') as reads,
              has_table_privilege('colophon_service', 'event_store.events', 'insert') as appends,
              has_table_privilege('colophon_service', 'event_store.events', 'update, delete, truncate, trigger') as changes`,
    );
    expect(rights).toEqual({ reads: true, appends: true, changes: false });
  });

  test('does all that operators ask for, and readers keep reading', async () => {
    const run = async (...args: string[]) => {
      const running = start('dist/src/cli.js', args, { DATA_DIR: dataDir() });
      return [await running.ended, running.output()] as const;
    };
    const reads = (schema: string) =>
      sql(printedUrl(service), `select count(*) > 0 as rows from ${schema}.author_book`);
    expect(await run('rebuild')).toEqual([
      0,
      expect.stringMatching(/catalogue: \d+ events[^]*\nchanges: \d+ events/),
    ]);
    expect(await reads('catalogue')).toEqual([{ rows: true }]);
    await sql(owner(), `update catalogue.authors set name = 'Wrong' where name like 'Doré%'`);
    expect(await run('verify', '--repair')).toEqual([1, expect.stringContaining('1 repaired')]);
    const { head } = (await request('GET', '/projections')).body.items[0];
    expect(await run('rebuild', '--as-of', head, '--schema', 'as_it_was')).toEqual([
      0,
      expect.stringContaining('as_it_was: '),
    ]);
    expect(await reads('as_it_was')).toEqual([{ rows: true }]);
    await expect(sql(printedUrl(service), 'select from as_it_was.checkpoint')).rejects.toThrow('denied');
    const other = await createDatabase();
    expect(await run('transfer', '--from', 'embedded', '--to', other.url)).toEqual([
      0,
      expect.stringContaining('give the same tables'),
    ]);
    const told = await sql(other.url, `select type from event_store.events order by position desc limit 1`);
    expect(told).toEqual([{ type: 'LogTransferred' }]);
    await other.drop();
  });
});

test('passwords are for the user of the service alone', () => {
  expect(statSync(join(dataDir(), 'password')).mode & 0o777).toBe(0o600);
  const [secret, printed] = [new URL(owner()).password, new URL(printedUrl(service)).password];
  expect(printed).toMatch(/^[\da-f]{36}$/);
  expect(printed).not.toBe(secret);
  expect(service.output()).not.toContain(secret);
  expect(service.output()).not.toContain(new URL(serviceUrlOf(dataDir())).password);
});

test('what a reader did to its login, and did not end, is over at the next start', async () => {
  const printed = printedUrl(service);
  const busy = new URL(printed);
  busy.searchParams.set('application_name', 'colophon');
  const left = new Client({ connectionString: busy.href });
  left.on('error', () => undefined);
  await left.connect();
  await left.query('set default_transaction_read_only = off');
  await left.query(`alter role current_user password 'mine'`);
  await left.query('alter role current_user set statement_timeout = 0');
  await left.query('alter role current_user in database colophon set default_transaction_read_only = off');
  await end();
  // A session of a reader does not keep the server.
  expect(existsSync(join(dataDir(), 'postgres', 'postmaster.pid'))).toBe(false);
  service = await startService({ DATA_DIR: dataDir() });
  expect(printedUrl(service)).toBe(printed);
  expect(
    await sql(
      printed,
      `select current_setting('statement_timeout') as timeout, current_setting('default_transaction_read_only') as only`,
    ),
  ).toEqual([{ timeout: '5min', only: 'on' }]);
});

test('data of a version without these logins gets them, and what others have made goes on', async () => {
  await end();
  const server = await EmbeddedServer.start(dataDir());
  await sql(
    server.ownerUrl,
    'reassign owned by colophon_service to colophon',
    'drop owned by colophon_service, catalogue_reader',
    'drop role colophon_service, catalogue_reader',
    'grant temporary on database colophon to public',
    'grant usage on schema public to public',
    `do $$ declare one regprocedure; begin
       for one in select oid from pg_proc where proname ~ '^(lo_|pg_(try_)?advisory)' loop
         execute format('grant execute on function %s to public', one);
       end loop;
     end $$`,
    `create role analyst login password 'secret'`,
    'grant usage on schema catalogue to analyst',
    'grant select on catalogue.authors to analyst',
    'create schema reports',
    'create view reports.names as select name from catalogue.authors',
    'grant usage on schema reports to analyst',
    'grant select on reports.names to analyst',
  );
  await server.stop();
  service = await startService({ DATA_DIR: dataDir() });
  expect(await sql(printedUrl(service), 'select from catalogue.books')).toHaveLength(82);
  const added = await request('POST', '/authors', { body: { name: 'Written After The Upgrade' } });
  expect(added.status).toBe(201);
  await caughtUp({ request });
  const url = new URL(owner());
  [url.username, url.password] = ['analyst', 'secret'];
  expect(
    await sql(
      url.href,
      'create temporary table kept as select name from reports.names',
      `select name from kept where name like 'Written After%'`,
    ),
  ).toEqual([{ name: 'Written After The Upgrade' }]);
  const owners = await sql(
    owner(),
    `select distinct nspname as schema, relowner::regrole::text as owner from pg_class
     join pg_namespace n on n.oid = relnamespace
     where nspname in ('catalogue', 'commands', 'event_store') and relkind in ('r', 'p') order by 1`,
  );
  expect(owners).toEqual([
    { schema: 'catalogue', owner: 'colophon_service' },
    { schema: 'commands', owner: 'colophon_service' },
    { schema: 'event_store', owner: 'colophon' },
  ]);
});

test('on another server, a login of this name can read after the next start, and is the one that is shown', async () => {
  const database = await createDatabase();
  // The login exists on the server of the tests, since this is the embedded one.
  const other = await startService({ DATABASE_URL: database.url });
  expect(new URL(printedUrl(other)).username).toBe('catalogue_reader');
  expect(printedUrl(other)).toContain(':***@');
  const rows = await sql(
    database.url,
    'set role catalogue_reader',
    'select count(*)::integer as n from catalogue.authors',
  );
  expect(rows).toEqual([{ n: 0 }]);
  other.process.kill('SIGTERM');
  expect(await other.ended).toBe(0);
  await database.drop();
});
