import { randomUUID } from 'node:crypto';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { Maintenance } from '../../projections/maintenance.js';
import { Projector } from '../../projections/projector.js';
import type { EventStore } from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { compareLogs, transfer } from '../../src/event-store/transfer.js';
import { createPool } from '../../src/postgres/database.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { newEvent } from '../support/events.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database.drop());

/** What is parked, and why; without positions, which are their log's own. */
const parkedIn = (schema: string) =>
  sql<{ stream: string; error: string }>(
    database.url,
    `select stream, revision, event_id, error from ${schema}.parked order by stream, revision`,
  );

async function project(store: EventStore, schema: string): Promise<void> {
  const pool = createPool(database.url);
  const projector = new Projector(catalogue, store, pool, { connectionString: database.url, schema });
  await projector.start();
  expect(await projector.reached((await store.head()) ?? 0n, 60_000)).toBe(true);
  await projector.close();
  await pool.end();
}

async function rebuild(store: EventStore, schema: string): Promise<void> {
  const pool = createPool(database.url, { searchPath: `${schema},public` });
  const target = { projection: catalogue, schema, log: await store.logId() };
  const maintenance = new Maintenance({ target, store, pool, connectionString: database.url });
  await maintenance.rebuild({ allowParked: true });
  await maintenance.close();
  await pool.end();
}

test('what can’t be read is parked for the same reason live, by a rebuild, and in a copy of the log', async () => {
  const good = newEvent().metadata;
  const cases: [data: unknown, metadata: unknown][] = [
    [{ name: 'A' }, null],
    [{ name: 'A' }, [1]],
    [{ name: 'A' }, 'text'],
    [{ name: 'A' }, { schemaVersion: 1 }],
    [{ name: 'A' }, { ...good, actor: 5 }],
    [{ name: 'A' }, { ...good, actor: 'a\0' }],
    [{ name: 'A' }, { ...good, schemaVersion: 'one' }],
    [{ name: 'A' }, { ...good, recordedAt: 'yesterday' }],
    [['A'], good],
    ['A', good],
    [null, good],
    [new Uint8Array([0, 255, 1]), good],
  ];
  const memory = new MemoryEventStore();
  for (const [data, metadata] of cases)
    await memory.append(`author-${randomUUID()}`, 'no-stream', [
      { id: randomUUID(), type: 'AuthorAdded', data, metadata } as never,
    ]);

  await project(memory, 'live');
  const live = await parkedIn('live');
  expect(live).toHaveLength(cases.length);
  expect(live.filter(({ error }) => error === null)).toEqual([]);
  await rebuild(memory, 'live');
  expect(await parkedIn('live')).toEqual(live);

  const log = await createDatabase();
  const copy = new PostgresEventStore(log.url);
  for await (const _ of transfer(memory, copy));
  const second = await createDatabase();
  const copyOfCopy = new PostgresEventStore(second.url);
  for await (const _ of transfer(copy, copyOfCopy));
  expect(await compareLogs(copy, copyOfCopy)).toBe(cases.length);
  await copyOfCopy.close();
  await second.drop();
  await project(copy, 'copied');
  expect(await parkedIn('copied')).toEqual(live);
  await rebuild(copy, 'copied');
  expect(await parkedIn('copied')).toEqual(live);
  await copy.close();
  await log.drop();
});
