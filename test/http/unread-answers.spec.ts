import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { fastify, type FastifyInstance } from 'fastify';
import { serveDocument } from '../../src/http/open-api.js';
import { boundUnreadAnswers } from '../../src/http/unread-answers.js';

/** More than the operating system buffers for a client that doesn't read. */
const LARGE = 32 * 1_048_576;

let app: FastifyInstance;
beforeEach(() => {
  app = fastify();
});
afterEach(async () => {
  app.server.closeAllConnections();
  await app.close();
});

test('large answers that nobody reads are bounded; small ones and streams are not affected; there is room again', async () => {
  boundUnreadAnswers(app, 3 * LARGE);
  app.get('/large', async () => 'x'.repeat(LARGE));
  app.get('/small', async () => 'x');
  await app.listen({ port: 0, host: '127.0.0.1' });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const ask = async (path: string): Promise<IncomingMessage> => {
    const [response] = (await once(get(`${url}${path}`, { agent: false }), 'response')) as [IncomingMessage];
    return response;
  };
  const unread = await Promise.all([1, 2, 3].map(() => ask('/large')));
  expect(unread.map((response) => response.statusCode)).toEqual([200, 200, 200]);
  const refused = await fetch(`${url}/large`);
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(refused.headers.get('content-type')).toBe('application/problem+json');
  expect(await refused.json()).toMatchObject({ type: 'urn:colophon:problem:unavailable', status: 503 });
  expect((await fetch(`${url}/small`)).status).toBe(200);

  unread[0]?.destroy();
  let again = await fetch(`${url}/large`);
  while (again.status === 503) again = await fetch(`${url}/large`);
  expect((await again.text()).length).toBe(LARGE);
  for (const response of unread) response.destroy();
});

test('a buffer that many clients get counts once, until the last has read it', async () => {
  boundUnreadAnswers(app, LARGE);
  const shared = Buffer.alloc(LARGE, 'x');
  app.get('/shared', async () => shared);
  app.get('/own', async () => Buffer.alloc(LARGE, 'x'));
  await app.listen({ port: 0, host: '127.0.0.1' });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const ask = async (path: string): Promise<IncomingMessage> => {
    const [response] = (await once(get(`${url}${path}`, { agent: false }), 'response')) as [IncomingMessage];
    return response;
  };
  const unread = await Promise.all([1, 2, 3].map(() => ask('/shared')));
  expect(unread.map((response) => response.statusCode)).toEqual([200, 200, 200]);
  unread[0]?.destroy();
  unread[1]?.destroy();
  expect((await fetch(`${url}/shared`)).status).toBe(200);
  expect((await fetch(`${url}/own`)).status).toBe(503);
  unread[2]?.destroy();
  let own = await fetch(`${url}/own`);
  while (own.status === 503) own = await fetch(`${url}/own`);
  expect((await own.arrayBuffer()).byteLength).toBe(LARGE);
});

test('the description of the API counts once, however many ask for it and do not read it', async () => {
  const document = { description: 'x'.repeat(LARGE) };
  boundUnreadAnswers(app, 1.5 * LARGE);
  serveDocument(app, document);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/docs/openapi.json`;
  const unread = await Promise.all(
    [1, 2, 3].map(async () => {
      const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
      return response;
    }),
  );
  expect(unread.map((response) => response.statusCode)).toEqual([200, 200, 200]);
  expect(await (await fetch(url)).json()).toEqual(document);
  for (const response of unread) response.destroy();
});

test('answers that were read, and answers whose client left before they were ready, leave nothing behind', async () => {
  boundUnreadAnswers(app, LARGE);
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => sockets.add(socket));
  let begun = () => undefined as void;
  let closed: Promise<unknown> = Promise.resolve();
  app.get('/large', async (_, { raw }) => {
    closed = once(raw, 'close');
    return 'x'.repeat(LARGE);
  });
  app.get('/late', async ({ raw }) => {
    begun();
    await once(raw.socket, 'close');
    return 'x'.repeat(LARGE);
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const read = async () => {
    const [response] = (await once(get(`${url}/large`, { agent }), 'response')) as [IncomingMessage];
    response.resume();
    await once(response, 'end');
    // The client may have read the end before the server closes the answer.
    await closed;
    return response.statusCode;
  };
  expect(await read()).toBe(200);
  const [socket] = sockets;
  const listeners = socket?.listenerCount('close');
  for (let turn = 0; turn < 12; turn += 1) expect(await read()).toBe(200);
  expect(sockets.size).toBe(1);
  expect(socket?.listenerCount('close')).toBe(listeners);

  for (let turn = 0; turn < 3; turn += 1) {
    const arrived = new Promise<void>((resolve) => (begun = resolve));
    const left = get(`${url}/late`, { agent: false }).on('error', () => undefined);
    await arrived;
    left.destroy();
  }
  expect(await read()).toBe(200);
  agent.destroy();
});
