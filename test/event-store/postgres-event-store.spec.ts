import { Client } from 'pg';
import { RevisionConflict, type NewEvent } from '../../src/event-store/event-store.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { createDatabase, serverUrl, sql, type TestDatabase } from '../support/database.js';
import { follow, newEvent, newStream, readLog } from '../support/events.js';
import { boundedBatches, eventStoreContract } from './event-store.contract.js';

const databases: TestDatabase[] = [];
async function fresh(): Promise<TestDatabase> {
  const database = await createDatabase();
  databases.push(database);
  return database;
}
afterAll(() => Promise.all(databases.map((database) => database.drop())));

describe('the event store in PostgreSQL', () =>
  eventStoreContract(async () => new PostgresEventStore((await fresh()).url)));

describe('large events in PostgreSQL', () =>
  boundedBatches(async () => new PostgresEventStore((await fresh()).url)));

describe('under a server whose default isolation is repeatable read', () =>
  eventStoreContract(async () => {
    const { name, url } = await fresh();
    await sql(serverUrl(), `alter database ${name} set default_transaction_isolation to 'repeatable read'`);
    return new PostgresEventStore(url);
  }));

/** A transaction that has done something and doesn't end: it holds back what readers by snapshot could see. */
async function idleTransaction(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query('create table if not exists held (n integer)');
  await client.query('begin');
  await client.query('insert into held values (1)');
  return client;
}

test.each(['in this database', 'in another database of the server'])(
  'positions become visible in commit order while a transaction idles %s',
  async (where) => {
    const { url } = await fresh();
    const idle = await idleTransaction(where === 'in this database' ? url : serverUrl());
    const [one, two, reader] = [
      new PostgresEventStore(url),
      new PostgresEventStore(url),
      new PostgresEventStore(url),
    ];
    try {
      // A third writer holds the lock with an append that isn't committed: both others must wait behind it.
      const slow = new Client({ connectionString: url });
      await slow.connect();
      await slow.query('begin');
      const held = newEvent();
      await slow.query(
        `select * from event_store.append_events(array['author-slow'], array[-1], array[1], array[1],
           array[$1::uuid], array['AuthorAdded'], '{"name":"slow"}', $2)`,
        [held.id, JSON.stringify(held.metadata)],
      );
      const appends = [
        one.append(newStream(), 'no-stream', [newEvent()]),
        two.append(newStream(), 'no-stream', [newEvent()]),
      ];
      const waiting = `select count(*)::integer as n from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())`;
      while ((await sql<{ n: number }>(url, waiting))[0]?.n !== 2);
      expect(await readLog(reader)).toEqual([]);
      await slow.query('commit');
      await slow.end();
      await Promise.all(appends);

      // Then the two interleave as fast as they can, and a follower sees no position appear behind another.
      const write = async (store: PostgresEventStore) => {
        for (let n = 0; n < 150; n += 1)
          await store.append(newStream(), 'no-stream', [newEvent(), newEvent()]);
      };
      const [seen] = await Promise.all([
        follow(reader, undefined, (events) => events.length >= 603),
        write(one),
        write(two),
      ]);
      expect(seen.map((event) => event.position)).toEqual(
        Array.from({ length: 603 }, (_, n) => BigInt(n + 1)),
      );
    } finally {
      await idle.query('rollback');
      await idle.end();
      await Promise.all([one.close(), two.close(), reader.close()]);
    }
  },
);

test('of two processes that append to one stream at once, one wins', async () => {
  const { url } = await fresh();
  const stores = [new PostgresEventStore(url), new PostgresEventStore(url)];
  for (let round = 0; round < 50; round += 1) {
    const stream = newStream();
    const race = await Promise.allSettled(
      stores.map((store) => store.append(stream, 'no-stream', [newEvent()])),
    );
    expect(race.map((one) => one.status).toSorted()).toEqual(['fulfilled', 'rejected']);
    for (const one of race)
      if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(RevisionConflict);
  }
  await Promise.all(stores.map((store) => store.close()));
});

test('an append in a group with others keeps an outcome of its own', async () => {
  const { url } = await fresh();
  const store = new PostgresEventStore(url);
  const taken = newStream();
  await store.append(taken, 'no-stream', [newEvent()]);
  const free = Array.from({ length: 20 }, () => newStream());
  const results = await Promise.allSettled([
    ...free.map((stream) => store.append(stream, 'no-stream', [newEvent(), newEvent()])),
    store.append(taken, 'no-stream', [newEvent()]),
    store.append(taken, 0n, [newEvent()]),
  ]);
  expect(results.map((result) => result.status)).toEqual([
    ...free.map(() => 'fulfilled'),
    'rejected',
    'fulfilled',
  ]);
  expect((await readLog(store)).map((event) => event.position)).toEqual(
    Array.from({ length: 42 }, (_, n) => BigInt(n + 1)),
  );
  await store.close();
});

test('writers whose connections are killed lose nothing acknowledged and write nothing twice', async () => {
  const { url } = await fresh();
  const store = new PostgresEventStore(url);
  const stop = new AbortController();
  const kill = (async () => {
    // Kills backends of the writer, whatever they are doing, until the writers are done.
    while (!stop.signal.aborted)
      await sql(
        url,
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and query like '%append_events%' and pid <> pg_backend_pid()`,
      );
  })();
  const acknowledged: { stream: string; events: NewEvent[] }[] = [];
  const write = async () => {
    for (let n = 0; n < 15; n += 1) {
      const stream = newStream();
      const events = [newEvent(), newEvent()];
      await store.append(stream, 'no-stream', events);
      acknowledged.push({ stream, events });
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: 32 }, write));
  stop.abort();
  await kill;
  const log = await readLog(store);
  expect(new Set(log.map((event) => event.id)).size).toBe(log.length);
  expect(log.map((event) => event.position)).toEqual(log.map((_, n) => BigInt(n + 1)));
  const ids = new Set(log.map((event) => event.id));
  for (const { events } of acknowledged) for (const event of events) expect(ids).toContain(event.id);
  // Each append settled within its time; none was told that the store is away.
  expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
  await store.close();
});

test('a subscriber whose connection is killed goes on where it was', async () => {
  const { url } = await fresh();
  const store = new PostgresEventStore(url);
  const stream = newStream();
  await store.append(stream, 'no-stream', [newEvent()]);
  const seen = await follow(store, undefined, (events, caughtUp) => {
    if (events.length === 1 && caughtUp)
      void (async () => {
        await sql(
          url,
          `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid()`,
        );
        await store.append(stream, 0n, [newEvent()]);
      })();
    return events.length === 2;
  });
  expect(seen.map((event) => event.revision)).toEqual([0n, 1n]);
  await store.close();
});
