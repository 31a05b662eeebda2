import { readTables } from '../support/tables.js';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { startService, type RunningService } from '../support/process.js';
import { send, type Answer } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** A service whose database is behind a network that fails on demand. */
let database: TestDatabase;
let proxy: TcpProxy;
let service: RunningService;
beforeEach(async () => {
  database = await createDatabase();
  const { hostname, port } = new URL(database.url);
  proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
  service = await startService({ DATABASE_URL: proxy.through(database.url) });
});
afterEach(async () => {
  proxy.pass();
  service.process.kill('SIGTERM');
  expect([await service.ended, service.output()]).toEqual([0, expect.not.stringContaining('Error')]);
  await proxy.close();
  await database.drop();
});

const request = (method: string, path: string, options?: Parameters<typeof send>[2]) =>
  send(`${service.url}${path}`, method, options);
const add = (n: number): Promise<Answer> =>
  request('POST', '/authors', { body: { name: `N ${n}` }, headers: { 'idempotency-key': `key ${n}` } });

/** Repeats until the command is done, as a client with an Idempotency-Key would. */
async function insist(n: number): Promise<Answer> {
  for (;;) {
    const answer = await add(n);
    if (answer.status === 201) return answer;
    expect(answer).toMatchObject({ status: 503, body: { type: 'urn:colophon:problem:unavailable' } });
    expect(answer.headers.get('retry-after')).toBe('1');
  }
}

async function expectExactly(count: number): Promise<void> {
  await caughtUp({ request });
  const events = await sql<{ name: string }>(
    database.url,
    `select data->>'name' as name from event_store.events order by position`,
  );
  expect(events.map(({ name }) => name).toSorted()).toEqual(
    Array.from({ length: count }, (_, n) => `N ${n}`).toSorted(),
  );
  const { authors } = await readTables(database.url);
  expect(authors.map((author: any) => author.name).toSorted()).toEqual(
    events.map(({ name }) => name).toSorted(),
  );
}

test('a database that is away is answered 503, and used again when it is back, without a restart', async () => {
  await insist(0);
  proxy.down();
  const { status, body, headers } = await add(1);
  expect({ status, type: body.type, retry: headers.get('retry-after') }).toEqual({
    status: 503,
    type: 'urn:colophon:problem:unavailable',
    retry: '1',
  });
  for (const path of ['/authors', '/books?limit=1', '/audit/events', '/health/ready', '/projections'])
    expect((await request('GET', path)).status).toBe(503);
  expect((await request('GET', '/health/live')).status).toBe(200);
  proxy.pass();
  await insist(1);
  await expectExactly(2);
});

test('connections cut under 64 writers lose nothing acknowledged and write nothing twice', async () => {
  const COUNT = 320;
  let next = 0;
  let done = false;
  const cutting = (async () => {
    while (!done) {
      proxy.cut();
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  })();
  const writer = async () => {
    for (let n = next++; n < COUNT; n = next++) await insist(n);
  };
  await Promise.all(Array.from({ length: 64 }, writer));
  done = true;
  await cutting;
  await expectExactly(COUNT);
});

test('a commit whose answer is lost is settled before anybody is told', async () => {
  await insist(0);
  proxy.swallow();
  // Without a key nothing is read first: the append itself is what goes unanswered.
  const waiting = [1, 2, 3].map((n) => request('POST', '/authors', { body: { name: `N ${n}` } }));
  const count = `select count(*)::integer as n from event_store.events`;
  while (((await sql<{ n: number }>(database.url, count))[0]?.n ?? 0) < 2);
  proxy.pass();
  proxy.cut();
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([201, 201, 201]);
  await expectExactly(4);
});

test('a database that freezes is given up in time, and taken up when it thaws', async () => {
  await insist(0);
  proxy.freeze();
  const answer = await add(1);
  expect(answer.status).toBe(503);
  expect((await request('GET', '/health/live')).status).toBe(200);
  proxy.pass();
  await insist(1);
  await expectExactly(2);
});

test('commands that meet a frozen database are told to come back, and none that could not begin is written', async () => {
  await insist(0);
  proxy.freeze();
  const body = (n: number) => ({ body: { name: `N ${n}` } });
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      request(
        'POST',
        '/authors',
        n < 9 ? body(n + 1) : { ...body(10), headers: { 'idempotency-key': 'key 10' } },
      ),
    ),
  );
  for (const { status, body: problem, headers } of answers)
    expect({ status, type: problem.type, retry: headers.get('retry-after') }).toEqual({
      status: 503,
      type: 'urn:colophon:problem:unavailable',
      retry: '1',
    });
  // The second ten come when the first group has been in trouble for long: they can't begin.
  const late = await Promise.all(
    Array.from({ length: 10 }, (_, n) => request('POST', '/authors', { body: { name: `Late ${n}` } })),
  );
  expect(late.map(({ status }) => status)).toEqual(late.map(() => 503));
  proxy.pass();
  await insist(11);
  await caughtUp({ request });
  const { authors } = await readTables(database.url);
  const names = authors.map((author: any) => author.name);
  expect(names).toEqual(expect.arrayContaining(['N 0', 'N 11']));
  expect(names.filter((name: string) => name.startsWith('Late'))).toEqual([]);
});

test('a service killed under writers comes back with all it acknowledged', async () => {
  const acknowledged: number[] = [];
  let next = 0;
  let down = false;
  const writer = async () => {
    for (let n = next++; !down; n = next++)
      await add(n).then(
        ({ status }) => status === 201 && acknowledged.push(n),
        () => undefined,
      );
  };
  const writers = Array.from({ length: 16 }, writer);
  while (acknowledged.length < 300) await new Promise(setImmediate);
  service.process.kill('SIGKILL');
  down = true;
  await service.ended;
  await Promise.all(writers);
  service = await startService({ DATABASE_URL: proxy.through(database.url) });
  await caughtUp({ request });
  const { authors } = await readTables(database.url);
  const names = new Set(authors.map((author: any) => author.name));
  expect(names.size).toBe(authors.length);
  for (const n of acknowledged) expect(names).toContain(`N ${n}`);
});
