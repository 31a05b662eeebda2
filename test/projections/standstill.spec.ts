import type { Client, Pool } from 'pg';
import { changes } from '../../projections/changes/changes.projection.js';
import { lagOf } from '../../src/event-store/lag.js';
import { Projector, type ProjectorOptions } from '../../projections/projector.js';
import type { Batch, EventStore, Position } from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { connect, createPool } from '../../src/postgres/database.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { newEvent, newStream } from '../support/events.js';

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createDatabase();
  pool = createPool(database.url);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const projectorOf = (store: EventStore, options: Partial<ProjectorOptions>) =>
  new Projector(changes, store, pool, { connectionString: database.url, ...options });
const append = (store: EventStore) => store.append(newStream(), 'no-stream', [newEvent()]);
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((again) => setTimeout(again, 20));
}

/** A store whose subscriptions give nothing while the log goes on: all of them, or the first, which heeds no signal. */
function silent(store: EventStore, which: 'all' | 'first'): EventStore {
  let subscriptions = 0;
  async function* subscribe(after: Position | undefined, signal: AbortSignal): AsyncIterable<Batch> {
    subscriptions += 1;
    if (which === 'all') await new Promise((end) => signal.addEventListener('abort', end));
    else if (subscriptions === 1) await new Promise(() => undefined);
    yield* store.subscribe(after, signal);
  }
  return Object.assign(Object.create(store) as EventStore, { subscribe });
}

test('a subscription that is silent is noticed, and replaced by another', async () => {
  const store = new MemoryEventStore();
  const projector = projectorOf(silent(store, 'first'), { schema: 'silent', silenceMs: 300 });
  await projector.start();
  const errors = new Set<string | undefined>();
  const watch = setInterval(() => void projector.status().then(({ error }) => errors.add(error)), 5);
  const { position } = await append(store);
  expect(await projector.reached(position, 30_000)).toBe(true);
  await until(() => !projector.standsStill);
  clearInterval(watch);
  expect([...errors]).toContain('no event after position none reaches the tables');
  expect((await projector.status()).error).toBeUndefined();
  await projector.close();
});

test('a standby tells of a leader that does nothing', async () => {
  const store = new MemoryEventStore();
  const leader = projectorOf(silent(store, 'all'), { schema: 'idle', silenceMs: 60_000 });
  await leader.start();
  await until(async () => (await leader.status()).active);
  const standby = projectorOf(store, { schema: 'idle', silenceMs: 300 });
  await standby.start();
  expect(standby.standsStill).toBe(false);
  const before = new Date();
  const { position } = await append(store);
  await until(() => standby.standsStill);
  const { errorSince, ...status } = await standby.status();
  expect(status).toMatchObject({
    active: false,
    error: 'no event after position none reaches the tables',
  });
  expect([errorSince, before].toSorted((a, b) => Number(a) - Number(b))).toEqual([before, errorSince]);
  expect(standby.standsStillSince).toEqual(errorSince);
  expect(await lagOf(store, undefined, position)).toEqual({ positions: 1, seconds: expect.any(Number) });
  expect(await lagOf(store, position, position)).toEqual({ positions: 0, seconds: 0 });
  await standby.close();
  await leader.close();
});

test('a connection that no longer answers is noticed and replaced, although nothing is to be done', async () => {
  const store = new MemoryEventStore();
  let connections = 0;
  let quiet = false;
  const silentLater = async (url: string): Promise<Client> => {
    const client = await connect(url);
    connections += 1;
    if (connections > 1) return client;
    const query = client.query.bind(client) as (...given: unknown[]) => unknown;
    const silence = (...given: unknown[]) =>
      quiet && given[0] === 'select' ? new Promise(() => undefined) : query(...given);
    return Object.assign(client, { query: silence });
  };
  const projector = projectorOf(store, { schema: 'unanswered', silenceMs: 300, connect: silentLater });
  await projector.start();
  const { position } = await append(store);
  expect(await projector.reached(position, 30_000)).toBe(true);
  quiet = true;
  await until(
    async () => (await projector.status()).error === 'a connection to the database does not answer',
  );
  await until(async () => connections === 2 && (await projector.status()).error === undefined);
  await projector.close();
});
