import type { Pool } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import type { Projection } from '../../projections/projection.js';
import { Projector } from '../../projections/projector.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { createPool } from '../../src/postgres/database.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { TcpProxy } from '../support/tcp-proxy.js';

let database: TestDatabase;
let proxy: TcpProxy;
let pool: Pool;
let store: MemoryEventStore;
beforeEach(async () => {
  database = await createDatabase();
  const { hostname, port } = new URL(database.url);
  proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
  pool = createPool(database.url);
  store = new MemoryEventStore();
});
afterEach(async () => {
  await pool.end();
  await proxy.close();
  await database.drop();
});

const start = async (projection: Projection): Promise<Projector> => {
  const options = { connectionString: proxy.through(database.url), schema: 'catalogue' };
  const projector = new Projector(projection, store, pool, options);
  await projector.start();
  return projector;
};

/** The status, once it is as expected. */
async function until(projector: Projector, error: RegExp | undefined) {
  for (;;) {
    const status = await projector.status();
    if (error ? error.test(status.error ?? '') : status.error === undefined) return status;
    await new Promise((again) => setTimeout(again, 20));
  }
}

test('a process of an older version tells that the tables are newer again, after the server was away', async () => {
  await (await start(catalogue)).close();
  await sql(database.url, 'update catalogue.checkpoint set version = version + 1');
  const older = await start(catalogue);
  const newer = /made by a newer Colophon/;
  const first = await until(older, newer);
  proxy.down();
  const away = await until(older, /^(?!.*newer Colophon)./);
  proxy.pass();
  const again = await until(older, newer);
  await older.close();
  const since = [first, away, again].map(({ errorSince }) => errorSince?.getTime() ?? NaN);
  expect(since).toEqual(since.toSorted((a, b) => a - b));
  expect(new Set(since).size).toBe(3);
});

test('a process that waits for another’s rebuild has nothing to complain of, after the server was away', async () => {
  await (await start(catalogue)).close();
  await sql(database.url, 'update catalogue.checkpoint set version = version - 1');
  const rebuilding = await pool.connect();
  await rebuilding.query(`select pg_advisory_lock(hashtextextended('colophon rebuild of catalogue', 0))`);
  const standby = await start(catalogue);
  proxy.down();
  await until(standby, /./);
  proxy.pass();
  expect(await until(standby, undefined)).toMatchObject({ active: false, errorSince: undefined });
  await rebuilding.query('select pg_advisory_unlock_all()');
  rebuilding.release();
  await standby.close();
});
