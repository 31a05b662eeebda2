import { Client, Pool } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { Projector } from '../../projections/projector.js';
import type { EventStore } from '../../src/event-store/event-store.js';
import { type Batch, type Position } from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { rebatched } from '../support/rebatched.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { newEvent, readLog } from '../support/events.js';
import { live, type Step } from '../support/history.js';
import { expectedTables, readTables } from '../support/tables.js';

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createDatabase();
  pool = new Pool({ connectionString: database.url });
  pool.on('error', () => undefined);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

let schemas = 0;
const newSchema = () => `catalogue_${(schemas += 1)}`;
const projectorOf = (store: EventStore, schema: string, connect?: (url: string) => Promise<Client>) =>
  new Projector(catalogue, store, pool, {
    connectionString: database.url,
    schema,
    ...(connect && { connect }),
  });

async function project(projector: Projector, head: Position | undefined): Promise<void> {
  await projector.start();
  if (head !== undefined) expect(await projector.reached(head, 30_000)).toBe(true);
  await projector.close();
}

/** A history that reaches every statement of the projection. */
const a = (n: number) => `00000000-0000-7000-8000-a0000000000${n}`;
const b = (n: number) => `00000000-0000-7000-8000-b0000000000${n}`;
const link = (author: string, book: string): Step => ({
  what: 'link',
  author,
  book,
  roles: ['author'],
  position: undefined,
  creditedAs: null,
});
const EVERYTHING: Step[] = [
  { what: 'add author', author: a(0), text: 'Zola' },
  { what: 'add author', author: a(1), text: 'Émile' },
  { what: 'add author', author: a(2), text: 'NULL' },
  { what: 'add book', book: b(0), text: 'a\\b', author: a(0) },
  { what: 'add book', book: b(1), text: '{x}', author: a(1) },
  link(a(1), b(0)),
  link(a(2), b(0)),
  { what: 'unlink', book: b(0), author: a(1) },
  { what: 'remove author', author: a(2) },
  { what: 'remove author', author: a(0) },
  { what: 'restore author', author: a(0) },
  { what: 'remove book', book: b(1) },
  { what: 'restore book', book: b(1) },
  { what: 'rename author', author: a(0), text: 'it’s' },
  { what: 'reorder', book: b(0), reverse: true },
  { what: 'merge author', author: a(1), into: a(0) },
  {
    what: 'relink',
    book: b(1),
    from: 0,
    author: a(0),
    roles: ['author'],
    position: 1,
    creditedAs: 'Émile',
  },
  { what: 'merge author', author: a(0), into: a(2) },
  { what: 'restore author', author: a(0) },
  { what: 'remove book', book: b(1) },
];

const LANES = 4;

test('killed between any two statements, an event takes effect exactly once', async () => {
  const store = new MemoryEventStore();
  const world = await live(store, EVERYTHING);
  const head = await store.head();
  const batches = rebatched(store, [5]);
  let kills = 0;
  /** @returns whether there was such a statement. */
  const killAt = async (fatal: number): Promise<boolean> => {
    const schema = newSchema();
    let statements = 0;
    let killed = false;
    const connect = async (connectionString: string) => {
      const client = new Client({ connectionString });
      client.on('error', () => undefined);
      await client.connect();
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
      const query = client.query.bind(client);
      // What pg's many overloads take is passed on as it is.
      const killing = async (...args: unknown[]) => {
        statements += 1;
        if (statements === fatal) {
          killed = true;
          await sql(database.url, `select pg_terminate_backend(${rows[0]?.pid}, 5000)`);
        }
        return Reflect.apply(query, client, args);
      };
      return Object.assign(client, { query: killing });
    };
    await project(projectorOf(batches, schema, connect), head);
    if (killed) kills += 1;
    expect(await readTables(database.url, schema)).toMatchObject(expectedTables(world));
    await sql(database.url, `drop schema ${schema} cascade`);
    return killed;
  };
  // A projector waits half a second after a kill, so some are killed at a time.
  const lanes = Array.from({ length: LANES }, async (_, lane) => {
    for (let fatal = lane + 1; await killAt(fatal);) fatal += LANES;
  });
  await Promise.all(lanes);
  expect(kills).toBeGreaterThan(40);
});

test('the events that changed where the id of a merged author leads explain the row', async () => {
  const store = new MemoryEventStore();
  const merge = (into: string) => newEvent('AuthorMerged', { into });
  const none = 'no-stream';
  for (const n of [0, 1, 2]) await store.append(`author-${a(n)}`, none, [newEvent()]);
  await store.append(`author-${a(1)}`, 0n, [merge(a(2))]);
  await store.append(`author-${a(0)}`, 0n, [merge(a(1))]);
  await store.append(`author-${a(2)}`, 0n, [merge(a(0))]);
  await store.append(`author-${a(1)}`, 1n, [newEvent('AuthorRestored')]);
  await store.append(`author-${a(0)}`, 1n, [newEvent('AuthorRestored')]);
  const changes = await catalogue.explain(store, 'author_redirects', { author_id: a(0) });
  expect(changes.map(({ event, row }) => [event.position, row && row['survivorId']])).toEqual([
    [5n, a(2)],
    // A circle.
    [6n, null],
    [7n, a(1)],
    [8n, null],
  ]);
});

test('events delivered again take no effect', async () => {
  const store = new MemoryEventStore();
  const world = await live(store, EVERYTHING);
  const schema = newSchema();
  await project(projectorOf(store, schema), await store.head());
  const before = await readTables(database.url, schema);
  expect(before).toMatchObject(expectedTables(world));

  // A store that begins at the beginning, whatever it is asked for, until the projector turns it away.
  let deliveries = 0;
  async function* subscribe(after: Position | undefined, signal: AbortSignal): AsyncIterable<Batch> {
    deliveries += 1;
    yield* store.subscribe(deliveries === 1 ? undefined : after, signal);
  }
  const stale = Object.assign(Object.create(store) as EventStore, { subscribe });
  const projector = projectorOf(stale, schema);
  const { position } = await projector.status();
  await projector.start();
  while (deliveries < 1) await new Promise(setImmediate);
  const stream = `author-${a(3)}`;
  await store.append(stream, 'no-stream', [newEvent()]);
  const last = await store.head();
  await sql(database.url, `update ${schema}.checkpoint set position = ${position}, event_id = null`);
  expect(last !== undefined && (await projector.reached(last, 30_000))).toBe(true);
  await projector.close();
  const after = await readTables(database.url, schema);
  expect(after.authors).toHaveLength(before.authors.length + 1);
  expect(after.links).toEqual(before.links);
});

test('of two projectors one projects, and the other takes over when it is gone', async () => {
  const store = new PostgresEventStore(database.url);
  const schema = newSchema();
  let pid = 0;
  const connect = async (connectionString: string) => {
    const client = new Client({ connectionString });
    client.on('error', () => undefined);
    await client.connect();
    pid ||= (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0;
    return client;
  };
  const first = projectorOf(store, schema, connect);
  await first.start();
  const added = await store.append(`author-${a(0)}`, 'no-stream', [newEvent()]);
  expect(await first.reached(added.position, 10_000)).toBe(true);
  const second = projectorOf(store, schema);
  await second.start();
  const write = async () => {
    for (let n = 0n; n < 200n; n += 1n)
      await store.append(`author-${a(0)}`, n, [newEvent('AuthorRenamed', { name: `Name ${n}` })]);
  };
  const writing = write();
  expect((await first.status()).active).toBe(true);
  expect((await second.status()).active).toBe(false);
  await sql(database.url, `select pg_terminate_backend(${pid}, 5000)`);
  await writing;
  const head = await store.head();
  expect(head !== undefined && (await second.reached(head, 30_000))).toBe(true);
  expect(head !== undefined && (await first.reached(head, 30_000))).toBe(true);
  const { authors } = await readTables(database.url, schema);
  expect(authors).toMatchObject([{ name: 'Name 199', revision: '200' }]);
  expect(await readLog(store)).toHaveLength(201);
  await Promise.all([first.close(), second.close()]);
  await store.close();
});
