import { TooMuchContention } from '../../src/commands/keyed-queue.js';
import { readTables } from '../support/tables.js';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { startService, TELL_UNHEARD, type RunningService } from '../support/process.js';
import { send, type Answer } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** A service whose database is behind a network that fails on demand. */
let database: TestDatabase;
let proxy: TcpProxy;
let service: RunningService;
const start = () => startService({ DATABASE_URL: proxy.through(database.url), ...TELL_UNHEARD });
beforeEach(async () => {
  database = await createDatabase();
  const { hostname, port } = new URL(database.url);
  proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
  service = await start();
});
afterEach(async () => {
  proxy.pass();
  service.process.kill('SIGTERM');
  const code = await service.ended;
  await proxy.close();
  await database.drop();
  // The service ends when told to, and no promise has rejected unheard.
  expect([code, service.output()]).toEqual([0, expect.not.stringContaining('Error')]);
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
  service = await start();
  await caughtUp({ request });
  const { authors } = await readTables(database.url);
  const names = new Set(authors.map((author: any) => author.name));
  expect(names.size).toBe(authors.length);
  for (const n of acknowledged) expect(names).toContain(`N ${n}`);
});

const linesOf = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => from + index)
    .flatMap((n) => [
      { type: 'author', key: `a${n}`, name: `A ${n}` },
      { type: 'book', key: `b${n}`, title: `B ${n}`, authors: [{ author: `a${n}` }] },
    ])
    .map((line) => `${JSON.stringify(line)}\n`)
    .join('');

/** An import that goes on until it is told to end. @returns its status; undefined if its connection broke. */
function importing(): { ended: Promise<number | undefined>; working: Promise<unknown>; end: () => void } {
  let ending = false;
  let begun = () => {};
  const working = new Promise<void>((resolve) => (begun = resolve));
  async function* body() {
    for (let n = 0; !ending; n += 10) {
      yield Buffer.from(linesOf(n, 10));
      await new Promise(setImmediate);
    }
  }
  const run = async () => {
    const response = await fetch(`${service.url}/imports`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: ReadableStream.from(body()),
      duplex: 'half',
    });
    for await (const _ of response.body ?? []) begun();
    return response.status;
  };
  const ended = run()
    .catch(() => undefined)
    .finally(() => (ending = true));
  return { ended, working: Promise.race([working, ended]), end: () => (ending = true) };
}

test.each<[string, () => unknown]>([
  ['killed', () => proxy.down()],
  ['frozen', () => proxy.freeze()],
  ['cut again and again', () => proxy.cut()],
])('imports and commands outlive a database that is %s', async (how, strike) => {
  await insist(0);
  const [before, other] = [importing(), importing()];
  await Promise.all([before.working, other.working]);
  const feed = fetch(`${service.url}/audit/events`, { headers: { accept: 'application/x-ndjson' } })
    .then((response) => response.text())
    .catch(() => undefined);
  const rebuilds = [await request('POST', '/projections/catalogue/rebuild')];
  strike();
  const cutting = how.startsWith('cut') ? setInterval(strike, 40) : undefined;
  const during = importing();
  const rebuilding = request('POST', '/projections/catalogue/rebuild');
  const commands = Array.from({ length: 16 }, (_, n) => add(n + 1));
  // Imports break or are refused by themselves while the database is away. A cut connection may come back in time.
  if (cutting) {
    await Promise.all(commands);
    for (const one of [before, other, during]) one.end();
  }
  for (const { ended } of [before, other, during]) expect([200, 503, undefined]).toContain(await ended);
  for (const { status } of await Promise.all(commands)) expect([201, 503]).toContain(status);
  expect((await request('GET', '/health/live')).status).toBe(200);
  rebuilds.push(await rebuilding);
  clearInterval(cutting);
  proxy.pass();
  await feed;
  for (const { status } of rebuilds) expect([202, 409, 503]).toContain(status);
  await insist(1);
  const again = await request('POST', '/imports', {
    raw: linesOf(0, 100),
    headers: { 'content-type': 'application/x-ndjson' },
  });
  expect(again.status).toBe(200);
  expect(again.text.match(/"status":"(added|unchanged)"/g)).toHaveLength(200);
});

test('of commands that meet at one author while the database is frozen, each is answered, and none that was refused is made', async () => {
  const { id } = (await insist(0)).body;
  const rename = (name: string) => request('PATCH', `/authors/${id}`, { body: { name } });
  proxy.freeze();
  const names = Array.from({ length: 10 }, (_, n) => `Frozen ${n}`);
  const answers = await Promise.all(names.map(rename));
  for (const answer of answers) {
    expect(answer).toMatchObject({ status: 503, body: { type: 'urn:colophon:problem:unavailable' } });
    expect(answer.headers.get('retry-after')).toBe('1');
  }
  const refused = names.filter((_, n) => answers[n]?.body.detail === new TooMuchContention().message);
  // The others were begun one after another, and their outcome is unknown.
  expect(refused.length).toBeGreaterThan(0);
  proxy.pass();
  for (let status = 503; status !== 200; { status } = await rename('Thawed'));
  const { events } = (await request('GET', `/audit/authors/${id}`)).body;
  const written = events.map(({ data }: any) => data.name);
  expect(written.at(-1)).toBe('Thawed');
  for (const name of refused) expect(written).not.toContain(name);
});
