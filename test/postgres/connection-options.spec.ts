import { connect, createPool } from '../../src/postgres/database.js';
import { connectionOptions } from '../../src/postgres/connection-options.js';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { send } from '../support/service.js';
import { startService } from '../support/process.js';

let database: TestDatabase;
beforeEach(async () => {
  database = await createDatabase();
  await sql(
    database.url,
    `alter database ${database.name} set synchronous_commit = off`,
    `alter database ${database.name} set default_transaction_isolation = 'repeatable read'`,
    `alter database ${database.name} set timezone = 'Asia/Tokyo'`,
    `alter database ${database.name} set statement_timeout = '7min'`,
    `alter database ${database.name} set enable_indexscan = off`,
    `alter database ${database.name} set plan_cache_mode = force_generic_plan`,
    `alter database ${database.name} set gin_fuzzy_search_limit = 1`,
    `alter database ${database.name} set exit_on_error = on`,
    // Only PostgreSQL 17 and newer has this setting.
    `do $$ begin
       if current_setting('server_version_num')::integer >= 170000 then
         alter database ${database.name} set transaction_timeout = '7min';
       end if;
     end $$`,
  );
});
afterEach(() => database.drop());

/** With options of the user's own, which name settings of ours too. */
const withOptions = (options: string, more = '') =>
  `${database.url}?options=${encodeURIComponent(options)}${more}`;

const SHOW = `select current_setting('synchronous_commit') as commit, current_setting('transaction_isolation') as isolation,
  current_setting('jit') as jit, current_setting('TimeZone') as zone, current_setting('statement_timeout') as timeout,
  current_setting('search_path') as path, current_setting('application_name') as name,
  current_setting('geqo_threshold') as geqo, current_setting('enable_hashjoin') as hashjoin,
  current_setting('enable_indexscan') as indexscan, current_setting('plan_cache_mode') as plans,
  current_setting('gin_fuzzy_search_limit') as fuzzy, current_setting('exit_on_error') as exit,
  coalesce(current_setting('transaction_timeout', true), '0') as transaction`;
const OURS = {
  commit: 'on',
  isolation: 'read committed',
  jit: 'off',
  zone: 'UTC',
  timeout: '0',
  path: 'public',
  name: 'colophon',
  geqo: '7',
  indexscan: 'on',
  plans: 'auto',
  fuzzy: '0',
  exit: 'off',
  transaction: '0',
};

test('our settings hold, whatever the database and the URL say; the URL’s other options are kept', async () => {
  const url = withOptions(
    '-c synchronous_commit=off -c geqo_threshold=7 -c search_path=nowhere -c statement_timeout=1',
    '&application_name=other&statement_timeout=1&client_encoding=LATIN1&query_timeout=1',
  );
  const client = await connect(url);
  expect((await client.query(SHOW)).rows).toEqual([{ ...OURS, hashjoin: 'on' }]);
  await client.end();
  const pool = createPool(url, { searchPath: 'catalogue,public' });
  expect((await pool.query(SHOW)).rows).toEqual([{ ...OURS, path: 'catalogue,public', hashjoin: 'off' }]);
  await pool.end();
});

test('a URL that is none is refused without showing it', () => {
  expect(() => connectionOptions('postgres://me:se/cret@host/db')).toThrow(
    'the URL of the database is not well-formed',
  );
});

test('what the service acknowledges is on disk, even if the database’s default and the URL say otherwise', async () => {
  await sql(
    database.url,
    `create table told (setting text);
     create function tell() returns trigger language plpgsql as $$ begin
       insert into public.told values (current_setting('synchronous_commit')); return null; end $$;
     create trigger tell after insert on event_store.events for each statement execute function tell()`,
  );
  const service = await startService({
    DATABASE_URL: withOptions('-c synchronous_commit=off -c search_path=nowhere'),
  });
  try {
    const request = (method: string, path: string, options?: Parameters<typeof send>[2]) =>
      send(`${service.url}${path}`, method, options);
    expect((await request('POST', '/authors', { body: { name: 'Kept' } })).status).toBe(201);
    expect(
      (
        await request('POST', '/imports', {
          raw: '{"type":"author","key":"1","name":"Kept too"}\n',
          headers: { 'content-type': 'application/x-ndjson' },
        })
      ).status,
    ).toBe(200);
    await caughtUp({ request });
    expect((await request('GET', '/authors')).body.items).toHaveLength(2);
    expect(await sql(database.url, 'select distinct setting from told')).toEqual([{ setting: 'on' }]);
  } finally {
    service.process.kill('SIGTERM');
    await service.ended;
  }
});
