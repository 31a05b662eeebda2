import { connect, type Socket } from 'node:net';
import { caughtUp, importLines } from '../support/catalogue.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import {
  BUSIEST_TURN_MS,
  startService,
  TELL_VITAL_SIGNS,
  vitalSignsOf,
  type RunningService,
} from '../support/process.js';
import { send, type RequestOptions } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

// Hostile bodies, readers who don't read, and a network that is cut and frozen, all at once.

const MIB = 1_048_576;
/** Cuts of the network, and as many freezes. */
const ROUNDS = 4;
let database: TestDatabase;
let proxy: TcpProxy;
let service: RunningService;
beforeAll(async () => {
  database = await createDatabase();
  const { hostname, port } = new URL(database.url);
  proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
  service = await startService({ DATABASE_URL: proxy.through(database.url), ...TELL_VITAL_SIGNS });
});
afterAll(async () => {
  service.process.kill('SIGKILL');
  await service.ended;
  await proxy.close();
  await database.drop();
});

const request = (method: string, path: string, options?: RequestOptions) =>
  send(`${service.url}${path}`, method, options);

const HOSTILE: RequestOptions[] = [
  { body: { name: `a${' '.repeat(200_000)}b` } },
  { body: { name: '\u0301\u0323'.repeat(100_000) } },
  { body: { name: 'a'.repeat(MIB) } },
  { raw: '[{"a":'.repeat(100_000) },
  { body: Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`key ${n}`, n])) },
  { raw: `{"name":${'9'.repeat(900_000)}}` },
  { raw: new Uint8Array(MIB) },
  { body: { name: 'x' }, headers: { 'if-match': '"1",'.repeat(3_000) } },
];

/** Asks, and never reads the answer. */
function askAndNotRead(path: string, accept: string): Socket {
  const { hostname, port, host } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: ${accept}\r\n\r\n`);
  return socket;
}

test('a flood, cuts and freezes end nothing: no 500, no promise unheard, bounded memory, and everything works afterwards', async () => {
  const keys = Array.from({ length: 150 }, (_, n) => `many ${n}`);
  const ids = await importLines({ request }, [
    ...keys.map((key) => ({ type: 'author', key, name: `${key} ${'long '.repeat(150)}` })),
    ...keys.map((key) => ({
      type: 'book',
      key: `b ${key}`,
      title: key,
      authors: keys.map((author) => ({ author })),
    })),
  ]);
  const statuses = new Map<number, number>();
  const count = (status: number) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const added: string[] = [];
  let over = false;
  const until = async (work: (turn: number) => Promise<{ status: number; body: any }>): Promise<void> => {
    for (let turn = 0; !over; turn += 1) {
      const { status } = await work(turn);
      count(status);
    }
  };
  const add = async (worker: number, turn: number) => {
    const name = `Added ${worker} ${turn}`;
    const answer = await request('POST', '/authors', { body: { name } });
    if (answer.status === 201) added.push(answer.body.id);
    return answer;
  };
  const author = ids[keys[0] as string];
  const workers = [
    ...HOSTILE.map((options) => until(() => request('POST', '/authors', options))),
    ...[0, 1, 2, 3, 4, 5].map((worker) => until((turn) => add(worker, turn))),
    ...[0, 1, 2, 3].map(() => until(() => request('GET', `/authors/${author}`))),
    until(() => request('GET', '/books?limit=500&include=authors&sort=-createdAt')),
    until(() => request('GET', '/audit/events?types=Nope')),
  ];
  const unread = Array.from({ length: 60 }, (_, n) =>
    n % 2
      ? askAndNotRead('/books?limit=500&include=authors', 'application/json')
      : askAndNotRead('/audit/events', 'application/x-ndjson'),
  );
  for (let round = 0; round < ROUNDS; round += 1) {
    // Enough for every worker to be in the middle of something.
    const before = added.length;
    while (added.length < before + 20) await new Promise(setImmediate);
    proxy.cut();
    while (added.length < before + 40) await new Promise(setImmediate);
    proxy.freeze();
    await new Promise((thaw) => setTimeout(thaw, 1_000));
    proxy.pass();
  }
  over = true;
  await Promise.all(workers);
  for (const socket of unread) socket.destroy();

  expect(
    [...statuses.keys()].filter((status) => ![200, 201, 400, 412, 413, 422, 431, 503].includes(status)),
  ).toEqual([]);
  expect((await request('GET', '/health/live')).status).toBe(200);
  await caughtUp({ request });
  for (const id of added) expect((await request('GET', `/authors/${id}`)).status).toBe(200);
  while ((await request('GET', '/health/ready')).status !== 200);
  service.process.kill('SIGTERM');
  expect(await service.ended).toBe(0);
  const signs = vitalSignsOf(service.output());
  expect(signs.unheard).toBe(0);
  // The heap is bounded by its limit of 384 MiB, buffers by ours.
  expect(signs.peakMegabytes).toBeLessThan(1_000);
  // No delay is asserted: machines are noisy. One quadratic text would hold the event loop for 40 s of the processor.
  expect(signs.longestDelayMs).toBeGreaterThan(0);
  expect(signs.busiestTurnMs).toBeLessThan(BUSIEST_TURN_MS);
});
