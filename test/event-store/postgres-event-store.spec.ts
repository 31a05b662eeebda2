import { Client } from 'pg';
import { AsOfTime } from '../../src/event-store/as-of-time.js';
import { EventStoreUnavailable, RevisionConflict, type NewEvent } from '../../src/event-store/event-store.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { createDatabase, serverUrl, sql, type TestDatabase } from '../support/database.js';
import { follow, newEvent, newStream, readLog } from '../support/events.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { boundedBatches, eventStoreContract, timesOfTheLog } from './event-store.contract.js';

const databases: TestDatabase[] = [];
async function fresh(): Promise<TestDatabase> {
  const database = await createDatabase();
  databases.push(database);
  return database;
}
afterAll(() => Promise.all(databases.map((database) => database.drop())));

describe('the event store in PostgreSQL', () =>
  eventStoreContract(async () => new PostgresEventStore((await fresh()).url)));

describe('times in PostgreSQL', () => timesOfTheLog(async () => new PostgresEventStore((await fresh()).url)));

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

/** Holds a lock on the log, so that statements wait in the server, until it is released. */
async function lockLog(url: string, mode: 'exclusive' | 'access exclusive') {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`begin; lock table event_store.events in ${mode} mode`);
  return async () => {
    await client.query('rollback');
    await client.end();
  };
}

const waitingFor = (text: string) => `select pid from pg_stat_activity
  where datname = current_database() and wait_event_type = 'Lock' and query like '%${text}%'`;

test('an append that can not begin in time is never written, and one deadline covers waiting and writing', async () => {
  const { url } = await fresh();
  const { hostname, port } = new URL(url);
  const proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
  const store = new PostgresEventStore(proxy.through(url));
  await store.append(newStream(), 'no-stream', [newEvent()]);
  proxy.freeze();
  // The first is on its way to the server when the others come.
  const begun = store.append(newStream(), 'no-stream', [newEvent()]);
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  const waiting = Array.from({ length: 6 }, () => newStream());
  const outcomes = await Promise.allSettled([
    begun,
    ...waiting.map((stream) => store.append(stream, 'no-stream', [newEvent()])),
  ]);
  for (const outcome of outcomes)
    expect(outcome).toEqual({ status: 'rejected', reason: expect.any(EventStoreUnavailable) });
  proxy.pass();
  const later = newStream();
  for (;;)
    try {
      await store.append(later, 'no-stream', [newEvent()]);
      break;
    } catch (error) {
      expect(error).toBeInstanceOf(EventStoreUnavailable);
    }
  const written = new Set((await readLog(store)).map(({ stream }) => stream));
  expect(written).toContain(later);
  for (const stream of waiting) expect(written).not.toContain(stream);
  await store.close();
  await proxy.close();
});

test('a statement that is cancelled fails none of the appends in its group', async () => {
  const { url } = await fresh();
  const store = new PostgresEventStore(url);
  const release = await lockLog(url, 'exclusive');
  const streams = Array.from({ length: 5 }, () => newStream());
  const appends = Promise.all(streams.map((stream) => store.append(stream, 'no-stream', [newEvent()])));
  let pid: number | undefined;
  while (pid === undefined) pid = (await sql<{ pid: number }>(url, waitingFor('append_events')))[0]?.pid;
  await sql(url, `select pg_cancel_backend(${pid})`);
  await release();
  expect((await appends).map(({ revision }) => revision)).toEqual(streams.map(() => 0n));
  expect(await readLog(store)).toHaveLength(5);
  await store.close();
});

test('an append that the server refuses fails none of the others in its group', async () => {
  const { url } = await fresh();
  const store = new PostgresEventStore(url);
  const good = Array.from({ length: 5 }, () => newStream());
  const outcomes = await Promise.allSettled([
    ...good.map((stream) => store.append(stream, 'no-stream', [newEvent()])),
    store.append(newStream(), 'no-stream', [{ ...newEvent(), id: 'not a UUID' }]),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual([...good.map(() => 'fulfilled'), 'rejected']);
  expect(await readLog(store)).toHaveLength(5);
  await store.close();
});

test('commands and followers have room while callers crowd the log, and the crowd is limited', async () => {
  const { url } = await fresh();
  const store = new PostgresEventStore(url);
  const stream = newStream();
  await store.append(stream, 'no-stream', [newEvent()]);
  const release = await lockLog(url, 'access exclusive');
  const { signal } = new AbortController();
  const feed = async () => {
    const events = [];
    for await (const page of store.readAll({ caller: signal, types: ['AuthorAdded'] })) events.push(...page);
    return events.length;
  };
  const feeds = Promise.allSettled(Array.from({ length: 400 }, feed));
  // The feeds hold their connections: these statements must reach the server over others.
  const read = store.readStream(stream);
  const appended = store.append(stream, 0n, [newEvent('AuthorRenamed')]);
  const all = readLog(store);
  for (const text of ['stream = any', 'append_events', 'order by position asc limit'])
    while ((await sql(url, waitingFor(text))).length === 0);
  await release();
  expect((await read).length).toBeGreaterThan(0);
  expect((await appended).revision).toBe(1n);
  expect((await all).length).toBeGreaterThan(0);
  const outcomes = await feeds;
  for (const outcome of outcomes)
    if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(EventStoreUnavailable);
    else expect(outcome.value).toBe(1);
  expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['fulfilled', 'rejected']));
  await store.close();
});

test('a filter finds every event, over any number of windows of positions', async () => {
  const { url } = await fresh();
  await sql(
    url,
    `insert into event_store.events (position, stream, revision, id, type, data, metadata, recorded_at)
     select n, 'alpha-' || n, 0, gen_random_uuid(), case when n % 90001 = 1 then 'Rare' else 'Often' end, '{}',
            '{"commandId":"c","actor":"a","correlationId":"c","causationId":"c","schemaVersion":1}', now()
     from generate_series(1, 250000) n`,
  );
  const store = new PostgresEventStore(url);
  const found = async (options: Parameters<typeof store.readAll>[0]) => {
    const pages = [];
    for await (const page of store.readAll(options)) pages.push(page.map(({ position }) => position));
    return pages;
  };
  const types = ['Rare'];
  expect(await found({ types })).toEqual([[1n, 90_002n, 180_003n]]);
  expect(await found({ types, batchSize: 2 })).toEqual([[1n, 90_002n], [180_003n]]);
  expect(await found({ types, from: 1n, to: 180_002n })).toEqual([[90_002n]]);
  expect(await found({ types, to: 180_003n, batchSize: 1 })).toEqual([[1n], [90_002n], [180_003n]]);
  expect(await found({ types: ['Never'] })).toEqual([]);
  expect(await found({ types, from: 250_000n })).toEqual([]);
  await store.close();
});

test('a caller who leaves ends the read of the log', async () => {
  const { url } = await fresh();
  const store = new PostgresEventStore(url);
  await store.append(newStream(), 'no-stream', [newEvent()]);
  const release = await lockLog(url, 'access exclusive');
  const caller = new AbortController();
  const left = new Error('left');
  const read = store.readAll({ caller: caller.signal })[Symbol.asyncIterator]().next();
  while ((await sql(url, waitingFor('order by position'))).length === 0);
  caller.abort(left);
  await expect(read).rejects.toBe(left);
  await release();
  await store.close();
});

test('a read-only server is told before an append is tried', async () => {
  const { name, url } = await fresh();
  const store = new PostgresEventStore(url);
  expect(await store.checkAppends()).toBeUndefined();
  await sql(serverUrl(), `alter database ${name} set default_transaction_read_only to on`);
  const readOnly = new PostgresEventStore(url);
  expect(await readOnly.checkAppends()).toBe('read-only');
  await expect(readOnly.append(newStream(), 'no-stream', [newEvent()])).rejects.toThrow(
    EventStoreUnavailable,
  );
  await Promise.all([store.close(), readOnly.close()]);
});

test('a time is found in a long log, whatever wrong clocks and other programs wrote into it', async () => {
  const { url } = await fresh();
  const store = new PostgresEventStore(url);
  // Some transferred, some under a clock that was a year ahead, and some with first times that are none.
  await sql(
    url,
    `insert into event_store.events
     select n, 'alpha-' || n, 0, gen_random_uuid(), 'Happened', '{}',
       case n % 700 when 1 then '{"recordedAt":"2001-02-03T04:05:06.789Z"}' when 2 then '{"recordedAt":"2001-99-99T04:05:06.789Z"}'
                    when 3 then '[]' else '{}' end::json,
       timestamptz '2002-01-01Z' + n * interval '1 hour' + case when n between 1500 and 2200 then interval '1 year' else '0' end
     from generate_series(1, 3456) n`,
  );
  const rows = await sql<{ position: string; at: Date }>(
    url,
    `select position, case n when 1 then '2001-02-03T04:05:06.789Z' else recorded_at end as at
     from (select position, recorded_at, position % 700 as n from event_store.events) e order by position`,
  );
  for (const time of [
    '2001-03-01Z',
    '2002-02-01Z',
    '2002-03-15Z',
    '2002-05-01Z',
    '2003-03-15Z',
    '2020-01-01Z',
  ]) {
    const asOf = new AsOfTime(new Date(time));
    for (const { position, at } of rows) asOf.take({ position: BigInt(position), recordedAt: at });
    expect([time, await store.positionAt(new Date(time))]).toEqual([time, asOf.position]);
  }
  await store.close();
});

test('a time that an append under way has been given has not passed', async () => {
  const { url } = await fresh();
  const store = new PostgresEventStore(url);
  const slow = new Client({ connectionString: url });
  await slow.connect();
  await slow.query('begin');
  const held = newEvent();
  await slow.query(
    `select * from event_store.append_events(array['author-slow'], array[-1], array[1], array[1],
       array[$1::uuid], array['AuthorAdded'], '{"name":"slow"}', $2)`,
    [held.id, JSON.stringify(held.metadata)],
  );
  const { rows } = await slow.query<{ at: Date }>('select recorded_at as at from event_store.events');
  const time = rows[0]?.at ?? new Date(0);
  let passed: boolean | undefined;
  const asking = store.hasPassed(time).then((answer) => (passed = answer));
  const waiting = `select from pg_locks where locktype = 'advisory' and not granted
    and database = (select oid from pg_database where datname = current_database())`;
  while ((await sql(url, waiting)).length === 0) expect(passed).toBeUndefined();
  await slow.query('commit');
  await slow.end();
  await asking;
  expect([passed, await store.positionAt(time)]).toEqual([true, 1n]);
  await store.close();
});
