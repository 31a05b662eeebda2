import { Client, DatabaseError, Pool } from 'pg';
import { createPool, queryFor } from '../../src/postgres/database.js';
import { classify, inWords, PoolCrowded, reasonOf, sqlState, stackOf } from '../../src/postgres/errors.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database.drop());

const answered = (code: string) => Object.assign(new DatabaseError('said', 4, 'error'), { code });
const system = (code: string, syscall = 'read') => Object.assign(new Error(code), { code, syscall });

describe('an error is classified', () => {
  test.each([
    ['08006', 'unavailable'],
    ['25006', 'unavailable'],
    ['25P03', 'unavailable'],
    ['28P01', 'unavailable'],
    ['3D000', 'unavailable'],
    ['53100', 'unavailable'],
    ['53300', 'unavailable'],
    ['55P03', 'unavailable'],
    ['57014', 'unavailable'],
    ['57P01', 'unavailable'],
    ['57P03', 'unavailable'],
    ['58030', 'unavailable'],
    ['40001', 'conflict'],
    ['40P01', 'conflict'],
    ['21000', 'refused'],
    ['22P02', 'refused'],
    ['23505', 'refused'],
    ['54000', 'refused'],
    ['42P01', 'bug'],
    ['25P02', 'bug'],
    ['XX000', 'bug'],
    ['P0001', 'bug'],
  ])('by its SQLSTATE: %s is %s', (code, fault) => {
    expect(classify(answered(code))).toBe(fault);
    expect(sqlState(answered(code))).toBe(code);
  });

  test.each([
    'ECONNREFUSED',
    'ECONNRESET',
    'EPIPE',
    'ETIMEDOUT',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EHOSTUNREACH',
    'EMFILE',
    'ERR_STREAM_DESTROYED',
    'CERT_HAS_EXPIRED',
  ])('by its code in Node: %s is unavailable', (code) => {
    expect(classify(system(code))).toBe('unavailable');
    expect(sqlState(system(code))).toBeUndefined();
  });

  test.each([
    'timeout expired',
    'timeout exceeded when trying to connect',
    'Query read timeout',
    'Connection terminated',
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'Client has encountered a connection error and is not queryable',
    'Client was closed and is not queryable',
    'Cannot use a pool after calling end on the pool',
    'SASL: SCRAM-SERVER-FINAL-MESSAGE: server signature does not match',
  ])('by its text if it has no code: "%s" is unavailable', (text) => {
    expect(classify(new Error(text))).toBe('unavailable');
    expect(classify(new Error(`a name: ${text}`))).toBe('bug');
    expect(classify(Object.assign(new Error(text), { code: '42601' }))).toBe('bug');
  });

  test('a missing socket is unavailable, a missing file is a bug', () => {
    expect(classify(system('ENOENT', 'connect'))).toBe('unavailable');
    expect(classify(system('ENOENT', 'open'))).toBe('bug');
  });

  test('several addresses are unavailable together; anything else is a bug', () => {
    expect(classify(new AggregateError([system('ECONNREFUSED'), system('ECONNREFUSED')]))).toBe(
      'unavailable',
    );
    expect(classify(new AggregateError([new Error('x')]))).toBe('bug');
    expect(classify(new PoolCrowded())).toBe('unavailable');
    expect(classify(new TypeError('x is not a function'))).toBe('bug');
    expect(classify(undefined)).toBe('bug');
  });
});

describe('the driver says what the list expects of it', () => {
  const failure = (work: Promise<unknown>) =>
    work.then(
      () => 'nothing',
      (error: unknown) => classify(error),
    );

  test('of a server that cancels, ends sessions, and is gone', async () => {
    const pool = createPool(database.url, { statement_timeout: 50 });
    expect(await failure(pool.query('select pg_sleep(60)'))).toBe('unavailable');
    expect(await failure(pool.query('select pg_terminate_backend(pg_backend_pid())'))).toBe('unavailable');
    expect(await failure(pool.query(`select 'a'::integer`))).toBe('refused');
    expect(await failure(pool.query('select nothing'))).toBe('bug');
    const closed = await pool.connect();
    await pool.query('select 1');
    await closed.end();
    expect(await failure(closed.query('select 1'))).toBe('unavailable');
    closed.release();
    await pool.end();
    expect(await failure(pool.query('select 1'))).toBe('unavailable');
    const nobody = new Pool({ connectionString: 'postgres://127.0.0.1:1/x', password: 'x' });
    expect(await failure(nobody.query('select 1'))).toBe('unavailable');
    await nobody.end();
  });

  test('of a server that is silent', async () => {
    const pool = createPool(database.url, { query_timeout: 50 });
    expect(await failure(pool.query('select pg_sleep(1)'))).toBe('unavailable');
    await pool.end();
  });
});

test('an error in words has its cause, and does not quote data', async () => {
  const pool = createPool(database.url);
  const quoting = await pool.query(`select 'Jane'::integer`).catch((error: Error) => error);
  await pool.end();
  expect([reasonOf(quoting), inWords(quoting)]).toEqual(['error 22P02', 'error 22P02']);
  expect(inWords(new Error('the work failed', { cause: quoting }))).toBe('the work failed: error 22P02');
  expect(stackOf(quoting)).toMatch(/^error 22P02: …\n {4}at /);
  expect(inWords(new AggregateError([new Error('one'), new Error('two')]))).toBe('one; two');
  expect([inWords(new Error('alone')), inWords('a text')]).toEqual(['alone', 'a text']);
});

describe('a pool', () => {
  test('refuses callers when enough of them wait, and serves those that wait', async () => {
    const pool = createPool(database.url, { max: 1, waiting: 2 });
    const held = await pool.connect();
    const waiting = [pool.query('select 1'), pool.query('select 2')];
    await expect(pool.query('select 3')).rejects.toThrow(PoolCrowded);
    await expect(pool.connect()).rejects.toThrow(PoolCrowded);
    held.release();
    expect((await Promise.all(waiting)).map(({ rowCount }) => rowCount)).toEqual([1, 1]);
    await pool.end();
  });

  const asleep = `select count(*)::integer as n from pg_stat_activity
    where datname = current_database() and state = 'active' and query like 'select pg_sleep%'`;
  const sleeping = async () => (await sql<{ n: number }>(database.url, asleep))[0]?.n;

  test('stops the statement of a caller who left, in the server too, and goes on', async () => {
    const pool = createPool(database.url, { max: 1, query_timeout: 0 });
    const caller = new AbortController();
    const query = queryFor(caller.signal, pool, { text: 'select pg_sleep(3600)' });
    const behind = queryFor(caller.signal, pool, { text: 'select pg_sleep(3600)' });
    const outcomes = Promise.allSettled([query, behind]);
    while ((await sleeping()) !== 1);
    const reason = new Error('left');
    caller.abort(reason);
    expect(await outcomes).toEqual([
      { status: 'rejected', reason },
      { status: 'rejected', reason },
    ]);
    while ((await sleeping()) !== 0);
    const next = new AbortController();
    expect(await queryFor(next.signal, pool, { text: 'select 1 as n' })).toEqual([{ n: 1 }]);
    await pool.end();
  });

  test('a connection that breaks while it rests after a slow statement is replaced', async () => {
    const pool = createPool(database.url, { max: 1, rest: 3_000 });
    const { signal } = new AbortController();
    const pid = { text: 'select pg_backend_pid() as pid' };
    const first = queryFor<{ pid: number }>(signal, pool, pid);
    const second = queryFor<{ pid: number }>(signal, pool, pid);
    const [resting] = await first;
    await sql(database.url, `select pg_terminate_backend(${resting?.pid})`);
    const [next] = await second;
    expect(next?.pid).not.toBe(resting?.pid);
    await pool.end();
  });

  test('a connection that breaks under a caller’s statement is unavailable, and replaced', async () => {
    const pool = createPool(database.url, { max: 1, query_timeout: 0 });
    const { signal } = new AbortController();
    const query = queryFor(signal, pool, { text: 'select pg_sleep(3600)' }).catch(classify);
    while ((await sleeping()) !== 1);
    const other = new Client({ connectionString: database.url });
    await other.connect();
    await other.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and query like 'select pg_sleep%'`,
    );
    await other.end();
    expect(await query).toBe('unavailable');
    expect(await queryFor(signal, pool, { text: 'select 1 as n' })).toEqual([{ n: 1 }]);
    await pool.end();
  });
});
