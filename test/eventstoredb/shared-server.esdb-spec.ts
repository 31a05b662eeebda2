import { randomUUID } from 'node:crypto';
import { binaryEvent, EventStoreDBClient } from '@eventstore/db-client';
import { EventStoreDbEventStore } from '../../src/event-store/eventstoredb/eventstoredb-event-store.js';
import { EventStoreUnavailable, type RecordedEvent } from '../../src/event-store/event-store.js';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase } from '../support/database.js';
import { newEvent, newStream } from '../support/events.js';
import { eventStoreDbUrl, newPrefix } from '../support/eventstoredb.js';
import { startService } from '../support/process.js';
import { send } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

// A server is shared with programs that write more than Colophon, and larger events.

let proxy: TcpProxy;
let through: string;
let prefix: string;
let drop: () => Promise<void>;
beforeEach(async () => {
  const url = eventStoreDbUrl();
  ({ prefix, drop } = await newPrefix());
  const { hostname, port } = new URL(url.replace(/^esdb/, 'http'));
  proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
  through = url.replace(/\/\/[^?]+/, `//127.0.0.1:${proxy.port}`);
});
afterEach(async () => {
  await proxy.close();
  await drop();
});

/** Writes events as another program would, in appends of one MiB at most. */
async function others(count: number, bytes: number): Promise<void> {
  const client = EventStoreDBClient.connectionString(eventStoreDbUrl());
  const event = () => binaryEvent({ type: 'Noise', data: Buffer.alloc(bytes, 'x') });
  const each = Math.floor(1_000_000 / bytes);
  for (let written = 0; written < count; written += each)
    await client.appendToStream(`noise-${randomUUID()}`, Array.from({ length: each }, event));
  await client.dispose();
}

/** Size of an event, near enough: the test's events are one long text. */
const sizeOf = (events: readonly RecordedEvent[]): number =>
  JSON.stringify(events.map(({ data }) => data)).length;

test('what a service does all the time reads nothing of what others wrote', async () => {
  const database = await createDatabase();
  const env = { DATABASE_URL: database.url, EVENTSTOREDB_URL: through, EVENTSTOREDB_PREFIX: prefix };
  let service = await startService(env);
  const request = (method: string, path: string, options?: Parameters<typeof send>[2]) =>
    send(`${service.url}${path}`, method, options);
  const stop = async () => {
    service.process.kill('SIGTERM');
    expect(await service.ended).toBe(0);
  };
  const { id } = (await request('POST', '/authors', { body: { name: 'Anna' } })).body;
  await caughtUp({ request });
  await others(2_000, 10_000);
  const before = proxy.received;

  expect((await request('GET', '/health/ready')).status).toBe(200);
  expect((await request('DELETE', `/authors/${id}`)).status).toBe(200);
  await stop();
  service = await startService(env);
  const { body } = await request('POST', '/authors', { body: { name: 'Berta' } });
  await caughtUp({ request });
  expect((await request('GET', `/authors/${body.id}`)).status).toBe(200);
  expect((await request('GET', '/projections')).body.items[0]).toMatchObject({ lag: 0, error: null });

  expect(proxy.received - before).toBeLessThan(1_000_000);
  await stop();
  await database.drop();
});

test('the head is found past what others wrote, whoever wrote last, and however it is reached', async () => {
  const store = new EventStoreDbEventStore(through, prefix);
  const writer = new EventStoreDbEventStore(eventStoreDbUrl(), prefix);
  expect(await store.head()).toBeUndefined();
  for (let n = 0; n < 3; n += 1) {
    const { position } = await writer.append(newStream(), 'no-stream', [newEvent(), newEvent()]);
    expect(await store.head()).toBe(position);
    await others(200, 1_000);
    expect(await store.head()).toBe(position);
    const own = await store.append(newStream(), 'no-stream', [newEvent()]);
    expect([await store.head(), await writer.head()]).toEqual([own.position, own.position]);
  }
  await Promise.all([store.close(), writer.close()]);
});

test('pages are bounded in bytes, whoever wrote the events', async () => {
  const store = new EventStoreDbEventStore(through, prefix);
  await store.append(newStream(), 'no-stream', [newEvent()]);
  await others(60, 900_000);
  const before = proxy.received;
  for await (const events of store.readAll({ batchSize: 1 })) {
    expect(events).toHaveLength(1);
    break;
  }
  // Of 54 MB, a page of 33 events at most.
  expect(proxy.received - before).toBeLessThan(35_000_000);
  await store.close();
});

test('batches to a reader and to a follower are bounded in bytes', async () => {
  const store = new EventStoreDbEventStore(eventStoreDbUrl(), prefix);
  const COUNT = 40;
  for (let n = 0; n < COUNT; n += 1)
    await store.append(newStream(), 'no-stream', [newEvent('Happened', { name: 'x'.repeat(900_000) })]);
  const stop = new AbortController();
  const sizes = { read: [] as number[], followed: [] as number[] };
  let seen = 0;
  for await (const events of store.readAll()) sizes.read.push(sizeOf(events));
  for await (const { events } of store.subscribe(undefined, stop.signal)) {
    sizes.followed.push(sizeOf(events));
    seen += events.length;
    if (seen === COUNT) stop.abort();
  }
  for (const each of Object.values(sizes)) {
    expect(each.reduce((sum, size) => sum + size)).toBeGreaterThan(COUNT * 900_000);
    expect(Math.max(...each)).toBeLessThan(10_000_000);
  }
  await store.close();
});

test('a server that sends slowly is not taken for silent, and one that sends nothing is', async () => {
  const store = new EventStoreDbEventStore(through, prefix);
  const stream = newStream();
  await store.append(stream, 'no-stream', [newEvent('Happened', { name: 'x'.repeat(800_000) })]);
  // One event takes eight seconds.
  proxy.throttle(100_000);
  expect(await store.readStream(stream)).toHaveLength(1);
  proxy.pass();
  proxy.freeze();
  await expect(store.readStream(stream)).rejects.toBeInstanceOf(EventStoreUnavailable);
  proxy.pass();
  await store.close();
});
