import { Readable } from 'node:stream';
import fastify, { type FastifyInstance } from 'fastify';
import { toldIfBroken } from '../../src/audit/told-if-broken.js';
import { controlAccess, SCOPES, type Authenticate } from '../../src/http/access.js';
import { unavailable } from '../../src/http/problem.js';
import { boundRequests } from '../../src/http/requests-under-way.js';
import { ask, open } from '../support/raw-http.js';

/** A server with a route that needs `read` and shows its caller. */
async function serverWith(authenticate: Authenticate | undefined): Promise<FastifyInstance> {
  const server = fastify();
  controlAccess(server, authenticate);
  server.get('/authors', { config: { access: 'read' } }, ({ caller }) => caller);
  await server.listen({ port: 0, host: '127.0.0.1' });
  return server;
}

const get = async (server: FastifyInstance, headers: Record<string, string>) => {
  const response = await fetch(`${server.listeningOrigin}/authors`, { headers });
  return { status: response.status, body: await response.json() };
};

let valid = true;
const reader = { subject: 'reader', scopes: ['read'], verified: true, isValid: () => valid } as const;

test('a route without a rule is refused, whoever adds it', () => {
  const server = fastify();
  controlAccess(server, undefined);
  expect(() => server.get('/new', () => '')).toThrow('GET /new has no rule of access');
  expect(() => server.get('/docsuite', () => '')).toThrow('/docsuite has no rule of access');
  expect(() => server.get('/docs', () => '')).not.toThrow();
});

test('without access control, the caller is who X-Actor says, and may do everything', async () => {
  const server = await serverWith(undefined);
  const callerOf = async (headers: Record<string, string>) => (await get(server, headers)).body;
  expect(await callerOf({ 'x-actor': 'clerk' })).toEqual({
    subject: 'clerk',
    scopes: SCOPES,
    verified: false,
  });
  expect(await callerOf({})).toMatchObject({ subject: 'anonymous' });
  await server.close();
});

test('the body of a caller who is not known yet takes no room', async () => {
  const server = fastify();
  boundRequests(server, 1_000, { requests: 9, bodyBytes: 1_000, pipelined: 9 });
  let asked = 0;
  controlAccess(server, (token) => {
    asked += 1;
    return token === 'known.a.b' ? reader : new Promise(() => undefined);
  });
  server.post('/authors', { config: { access: 'read' } }, () => '');
  await server.listen({ port: 0, host: '127.0.0.1' });
  const post = (token: string) =>
    ask(
      server.listeningOrigin,
      'POST',
      '/authors',
      { authorization: `Bearer ${token}`, 'content-type': 'text/plain' },
      'x'.repeat(900),
    );
  const waiting = [1, 2, 3].map(() => post('unknown.a.b').catch(() => undefined));
  while (asked < waiting.length) await new Promise(setImmediate);
  expect((await post('known.a.b')).status).toBe(200);
  server.server.closeAllConnections();
  await Promise.all(waiting);
  await server.close();
});

test('lines break off when the token of their reader ends', async () => {
  const server = fastify();
  controlAccess(server, () => reader);
  const pages: ((page: string) => void)[] = [];
  server.get('/lines', { config: { access: 'read' } }, ({ caller }) => {
    const lines = async function* () {
      for (;;) yield await new Promise<string>((resolve) => pages.push(resolve));
    };
    return Readable.from(toldIfBroken(lines(), caller, {}));
  });
  await server.listen({ port: 0, host: '127.0.0.1' });
  const next = async () => {
    while (pages.length === 0) await new Promise(setImmediate);
    return pages.shift();
  };
  const connection = open(server.listeningOrigin);
  connection.socket.write('GET /lines HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a.b.c\r\n\r\n');
  (await next())?.('first\n');
  (await next())?.('second\n');
  const third = await next();
  valid = false;
  third?.('third\n');
  const received = await connection.closed;
  valid = true;
  expect(received).toContain('second');
  expect(received).not.toContain('third');
  // A whole answer would end by an empty chunk.
  expect(received).not.toContain('\r\n0\r\n');
  await server.close();
});

test('a token proves the caller, at once or later; what can not be told now is no refusal', async () => {
  const asked: string[] = [];
  const server = await serverWith((token) => {
    asked.push(token);
    if (token === 'known.a.b') return reader;
    if (token === 'later.a.b') return Promise.resolve(reader);
    if (token === 'away.a.b') return Promise.reject(unavailable('away'));
    return undefined;
  });
  const statusOf = async (authorization: string) => (await get(server, { authorization })).status;
  expect(await statusOf('Bearer known.a.b')).toBe(200);
  expect(await statusOf('bearer  later.a.b')).toBe(200);
  expect(await statusOf('Bearer other.a.b')).not.toBe(200);
  expect((await get(server, { authorization: 'Bearer away.a.b' })).body).toMatchObject({ message: 'away' });
  // What can't be a token is not even looked at.
  asked.length = 0;
  for (const text of [
    'known.a.b',
    'Basic known.a.b',
    'Bearer known',
    'Bearer a.b.',
    'Bearer a.b.c.d',
    'Bearer a.b.é',
  ])
    await statusOf(text);
  await statusOf(`Bearer a.b.${'c'.repeat(10_000)}`);
  expect(asked).toEqual([]);
  await server.close();
});
