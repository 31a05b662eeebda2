import { randomUUID } from 'node:crypto';
import { migrate } from '../../src/postgres/migrate.js';
import { caughtUp, importLines } from '../support/catalogue.js';
import { serverUrl, sql } from '../support/database.js';
import { start, startService } from '../support/process.js';
import { send } from '../support/service.js';
import { dumpTables } from '../support/tables.js';

// The same commands and questions on databases that others set up. Their defaults and their locale change nothing.

/** Each would change a result, or break a statement. */
const HOSTILE = {
  array_nulls: 'off',
  bytea_output: 'escape',
  check_function_bodies: 'off',
  client_encoding: 'LATIN1',
  client_min_messages: 'debug1',
  datestyle: 'SQL, DMY',
  default_statistics_target: '1',
  default_tablespace: 'pg_default',
  default_transaction_deferrable: 'on',
  default_transaction_isolation: 'serializable',
  enable_bitmapscan: 'off',
  enable_hashagg: 'off',
  enable_hashjoin: 'off',
  enable_indexscan: 'off',
  enable_nestloop: 'off',
  enable_seqscan: 'off',
  enable_sort: 'off',
  exit_on_error: 'on',
  extra_float_digits: '-15',
  from_collapse_limit: '1',
  gin_fuzzy_search_limit: '1',
  idle_in_transaction_session_timeout: '1ms',
  idle_session_timeout: '1ms',
  intervalstyle: 'sql_standard',
  jit: 'on',
  jit_above_cost: '0',
  join_collapse_limit: '1',
  lc_numeric: 'C',
  lock_timeout: '1ms',
  plan_cache_mode: 'force_generic_plan',
  quote_all_identifiers: 'on',
  row_security: 'off',
  search_path: 'nowhere',
  standard_conforming_strings: 'off',
  statement_timeout: '1ms',
  synchronous_commit: 'off',
  timezone: 'Asia/Tokyo',
  transform_null_equals: 'on',
  work_mem: '64kB',
};

const databases: string[] = [];
afterAll(async () => {
  for (const name of databases)
    await sql(serverUrl(), `drop database if exists ${name} with (force)`, `drop role if exists ${name}`);
});

/** An empty database that belongs to a plain role with these defaults. */
async function createForeign(options: string, defaults: Record<string, string> = {}): Promise<string> {
  const name = `foreign_${randomUUID().replaceAll('-', '')}`;
  databases.push(name);
  await sql(
    serverUrl(),
    `create role ${name} login password 'secret'`,
    ...Object.entries(defaults).map(([setting, value]) => `alter role ${name} set ${setting} = '${value}'`),
    `create database ${name} template template0 owner ${name} ${options}`,
  );
  const url = new URL(serverUrl(name));
  url.username = name;
  url.password = 'secret';
  return url.href;
}

const NAMES = [
  'apple',
  'Banana',
  'Äpfel',
  'Zürich',
  'zebra',
  'Ångström',
  'e-mail',
  'email',
  'co op',
  'coop',
  'Ωμέγα',
];
const PATHS = [
  '/authors?include=books',
  '/authors?sort=-name',
  '/authors?search=AP',
  '/authors?prefix=e',
  '/authors?prefix=Z',
  '/authors?role=editor',
  '/books?include=authors',
  '/books?search=of',
  '/books?prefix=%C3%A4',
  '/books?role=author',
];

/** Commands, and the answers to all questions, without what differs each time: ids, times and positions. */
async function story(url: string) {
  const env = { DATABASE_URL: url };
  const service = await startService(env);
  const request = (method: string, path: string, options?: Parameters<typeof send>[2]) =>
    send(`${service.url}${path}`, method, options);
  const colophon = async (...args: string[]) => {
    const program = start('dist/src/cli.js', args, env);
    const code = await program.ended;
    return { args, code, output: code === 0 ? '' : program.output() };
  };
  const ask = async () => {
    const answers = [];
    for (const path of PATHS)
      for (let after = ''; ;) {
        const { status, body } = await request('GET', `${path}&limit=3${after}`);
        answers.push({ path, status, items: body.items });
        if (!body.next) break;
        after = `&after=${encodeURIComponent(body.next)}`;
      }
    const { body } = await request('GET', '/audit/events?limit=500');
    // What operators did is an event too, but changes no answer about authors and books.
    const types: string[] = body.items
      .filter((event: any) => !event.stream.startsWith('operations-'))
      .map((event: any) => `${event.type} ${event.actor} ${JSON.stringify(event.data)}`);
    return {
      answers,
      types: sorted(types),
      tables: sorted((await dumpTables(serverUrl(new URL(url).pathname.slice(1)))).split('\n')),
    };
  };
  try {
    const ids = await importLines({ request }, [
      ...NAMES.map((name) => ({ type: 'author', key: `a ${name}`, name })),
      ...NAMES.map((name, n) => ({
        type: 'book',
        key: `b ${name}`,
        title: `${name} of ${n}\\`,
        authors: [
          { author: `a ${name}` },
          { author: `a ${NAMES[(n + 1) % NAMES.length]}`, roles: ['editor'], creditedAs: 'NULL' },
        ],
      })),
    ]);
    const headers = { 'idempotency-key': 'once' };
    const done = [
      await request('PATCH', `/authors/${ids['a apple']}`, { body: { name: 'Apfel \\' }, headers }),
      await request('PATCH', `/authors/${ids['a apple']}`, { body: { name: 'Apfel \\' }, headers }),
      await request('DELETE', `/books/${ids['b zebra']}`),
      await request('POST', '/authors', { body: { name: 'New' }, headers: { 'if-match': '"1"' } }),
    ].map(({ status }) => status);
    await caughtUp({ request });
    const before = await ask();
    const programs = [await colophon('rebuild'), await colophon('verify')];
    const after = await ask();
    return steady({ done, before, programs, after });
  } finally {
    service.process.kill('SIGTERM');
    await service.ended;
  }
}

/** In an order that ids don't change. */
const sorted = (lines: string[]): string[] => lines.map(steady).toSorted();

function steady<T>(value: T): T {
  return JSON.parse(
    JSON.stringify(value)
      .replace(/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/g, '<id>')
      .replace(/\d{4}-\d\d-\d\d[T ][\d:.]+(Z|\+00:00)/g, '<time>'),
  ) as T;
}

let expected: Awaited<ReturnType<typeof story>>;
beforeAll(async () => {
  expected = await story(await createForeign(`locale 'C'`));
});

test('a rebuild changes nothing, and the tables are right', () => {
  expect(expected.done).toEqual([200, 200, 200, 412]);
  expect(expected.programs.map(({ code, output }) => [code, output])).toEqual([
    [0, ''],
    [0, ''],
  ]);
  expect(expected.after).toEqual(expected.before);
});

test('defaults of the role change no answer', async () => {
  expect(await story(await createForeign(`locale 'C'`, HOSTILE))).toEqual(expected);
});

test('the locale of the database changes no answer', async () => {
  const icu = `locale 'C' locale_provider icu icu_locale 'en-US-u-ka-shifted'`;
  expect(await story(await createForeign(icu))).toEqual(expected);
});

test('a database in another encoding than UTF-8 is refused', async () => {
  const url = await createForeign(`encoding 'LATIN1' locale 'C'`);
  await expect(migrate(url)).rejects.toThrow(
    'a database with the encoding UTF8 is required; this database has LATIN1',
  );
});
