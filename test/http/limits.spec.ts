import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { get as getTls } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Controller, Get, Global, Module, Post, Req, Res, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RouteConfig, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OperatorError } from '../../src/errors.js';
import { EventStore } from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { Dependencies } from '../../src/http/health.controller.js';
import { HttpModule } from '../../src/http/http.module.js';
import { Shares, StreamLimits } from '../../src/http/limits.js';
import { JSON_TYPE, NDJSON } from '../../src/http/media-types.js';
import { Offers } from '../../src/http/offer.guard.js';
import { boundRequests, type Room } from '../../src/http/requests-under-way.js';
import { createAdapter, type ServerOptions } from '../../src/http/server.js';
import { followTls } from '../../src/http/tls.js';
import { Watched } from '../../src/telemetry/gauges.js';
import { MetricsModule } from '../../src/telemetry/metrics.module.js';
import { canMakeCertificates, makeCertificates } from '../support/certificates.js';
import { ask, open } from '../support/raw-http.js';

/** What the slow routes wait for. */
const gates: (() => void)[] = [];
let done = 0;
const opened = async () => {
  await new Promise<void>((resolve) => gates.push(resolve));
  done += 1;
};
const openAll = () => gates.splice(0).forEach((gate) => gate());
const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise(setImmediate);
};

@Controller()
class Routes {
  @Get('fast')
  @Offers({ query: [], produces: [JSON_TYPE] })
  fast() {
    return {};
  }

  @Post('fast')
  add() {
    return {};
  }

  @Get('slow')
  async slow() {
    await opened();
    return {};
  }

  @Get('lines')
  @Offers({ query: [], produces: [JSON_TYPE, NDJSON] })
  async lines(@Res({ passthrough: true }) reply: FastifyReply) {
    reply.type(NDJSON);
    return Readable.from(
      (async function* () {
        yield '{}\n';
        await opened();
      })(),
    );
  }

  @Post('import')
  @RouteConfig({ streams: true })
  @Offers({ query: [], produces: [NDJSON] })
  async import(@Req() request: FastifyRequest) {
    await opened();
    (request.body as Readable).resume();
    return '';
  }
}

const providers = [
  { provide: Dependencies, useValue: { check: opened } },
  { provide: EventStore, useValue: new MemoryEventStore() },
  { provide: Watched, useValue: { followers: [] } },
  { provide: StreamLimits, useValue: { importsPerSubject: 1, readersPerSubject: 2 } },
];
@Global()
@Module({ providers, exports: providers })
class Settings {}
@Module({ imports: [Settings, HttpModule, MetricsModule], controllers: [Routes] })
class App {}

const OPTIONS: ServerOptions = {
  host: '127.0.0.1',
  allowedHosts: [],
  allowedOrigins: [],
  maxBodyBytes: 1_000,
  bodyTimeoutMs: 30_000,
  trustedProxies: [],
  tls: undefined,
  requestsPerSubject: 0,
  requestsPerAddress: 0,
};

let app: INestApplication | undefined;
async function start(options: Partial<ServerOptions>, room?: Room): Promise<string> {
  const adapter = await createAdapter({ ...OPTIONS, ...options });
  if (room) boundRequests(adapter.getInstance(), OPTIONS.maxBodyBytes, room);
  const nest = { bodyParser: false, abortOnError: false } as const;
  app = await NestFactory.create<NestFastifyApplication>(App, adapter, nest);
  await app.listen(0, '127.0.0.1');
  return `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
}
afterEach(async () => {
  openAll();
  app?.getHttpServer().closeAllConnections();
  await app?.close();
  app = undefined;
});

describe('requests in a minute', () => {
  test('are limited by address, before anything is asked about the caller', async () => {
    const url = await start({ requestsPerAddress: 2 });
    const answers = [];
    for (const path of ['/fast', '/nowhere', '/fast']) answers.push(await ask(url, 'GET', path));
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 429]);
    expect(answers[1]?.headers).toMatchObject({
      'ratelimit-policy': '"address";q=2;w=60',
      ratelimit: expect.stringMatching(/^"address";r=0;t=\d+$/),
    });
    expect(answers[2]?.headers).toMatchObject({
      'content-type': expect.stringMatching(/^application\/problem\+json/),
      'retry-after': expect.stringMatching(/^\d+$/),
      ratelimit: expect.stringMatching(/^"address";r=0;t=\d+$/),
    });
    expect(answers[2]?.body).toMatchObject({
      type: 'urn:colophon:problem:too-many-requests',
      title: 'Too Many Requests',
      status: 429,
    });
    // A probe that were refused would restart the service, and a scrape would hide what happens.
    for (const path of ['/health/live', '/metrics']) expect((await ask(url, 'GET', path)).status).toBe(200);
  });

  test('are limited by subject, from whatever address', async () => {
    const url = await start({ requestsPerSubject: 1, requestsPerAddress: 9, trustedProxies: ['127.0.0.1'] });
    const from = (address: string, actor: string) =>
      ask(url, 'GET', '/fast', { 'X-Forwarded-For': address, 'X-Actor': actor });
    const first = await from('192.0.2.1', 'clerk');
    expect(first.status).toBe(200);
    expect(first.headers['ratelimit-policy']).toBe('"address";q=9;w=60, "subject";q=1;w=60');
    expect((await from('192.0.2.2', 'clerk')).status).toBe(429);
    expect((await from('192.0.2.1', 'editor')).status).toBe(200);
  });

  test('the address of a client behind a proxy counts only if the proxy is trusted', async () => {
    const from = (url: string, address: string) => ask(url, 'GET', '/fast', { 'X-Forwarded-For': address });
    const trusting = await start({ requestsPerAddress: 1, trustedProxies: ['127.0.0.0/8'] });
    const ofTrusted = [];
    // What the client itself says stands before what the proxy adds.
    for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.9, 192.0.2.1', '2001:db8::1', '2001:db8::2'])
      ofTrusted.push((await from(trusting, address)).status);
    expect(ofTrusted).toEqual([200, 200, 429, 200, 429]);
    await app?.close();

    const cautious = await start({ requestsPerAddress: 1 });
    expect((await from(cautious, '192.0.2.1')).status).toBe(200);
    expect((await from(cautious, '192.0.2.2')).status).toBe(429);
  });

  test('are not counted without a limit', async () => {
    const { headers } = await ask(await start({}), 'GET', '/fast');
    expect(Object.keys(headers).filter((name) => name.startsWith('ratelimit'))).toEqual([]);
  });
});

describe('requests under way', () => {
  test('are bounded: the next one is not begun, and there is room again', async () => {
    const url = await start({}, { requests: 2, bodyBytes: 1_000, pipelined: 9 });
    const slow = [ask(url, 'GET', '/slow'), ask(url, 'GET', '/slow')];
    await until(() => gates.length === 2);
    const refused = await ask(url, 'GET', '/fast');
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    expect(refused.body.type).toBe('urn:colophon:problem:unavailable');
    for (const path of ['/health/live', '/metrics']) expect((await ask(url, 'GET', path)).status).toBe(200);
    openAll();
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200]);
    let again = await ask(url, 'GET', '/fast');
    while (again.status === 503) again = await ask(url, 'GET', '/fast');
    expect(again.status).toBe(200);
  });

  test('are counted off if the client leaves', async () => {
    const url = await start({}, { requests: 3, bodyBytes: 1_000, pipelined: 9 });
    const { socket } = open(url);
    socket.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3));
    await until(() => gates.length === 3);
    expect((await ask(url, 'GET', '/fast')).status).toBe(503);
    socket.destroy();
    let again = await ask(url, 'GET', '/fast');
    while (again.status === 503) again = await ask(url, 'GET', '/fast');
    expect(again.status).toBe(200);
  });

  test('their bodies are bounded in bytes, also those that have not arrived', async () => {
    const url = await start({}, { requests: 9, bodyBytes: 1_500, pipelined: 9 });
    const { socket } = open(url);
    const head = 'POST /fast HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    const add = () =>
      ask(url, 'POST', '/fast', { 'content-type': 'application/json' }, JSON.stringify('x'.repeat(598)));
    let answer = await add();
    while (answer.status === 201) answer = await add();
    expect(answer.status).toBe(503);
    // A request without a body, and an import, which is read as it comes, need no room.
    expect((await ask(url, 'GET', '/fast')).status).toBe(200);
    const lines = ask(url, 'POST', '/import', { 'content-type': NDJSON }, 'x'.repeat(1_600));
    await until(() => gates.length === 1);
    openAll();
    expect((await lines).status).toBe(201);
    socket.destroy();
    while (answer.status === 503) answer = await add();
    expect(answer.status).toBe(201);
  });

  test('take no room for a body that is sent to a wrong address or by a wrong method: nobody reads such a body', async () => {
    const url = await start({}, { requests: 9, bodyBytes: 1_500, pipelined: 9 });
    const wrong = ['POST /nope', 'PUT /fast', 'OPTIONS /fast', 'POST /health/live', 'PROPFIND /fast'].map(
      (target) => {
        const connection = open(url);
        connection.socket.write(
          `${target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n`,
        );
        return connection;
      },
    );
    // Each is answered before the rest of its body.
    await until(() => wrong.every(({ received }) => received().includes('\r\n\r\n')));
    expect(wrong.map(({ received }) => received().slice(9, 12))).toEqual(['404', '405', '204', '405', '405']);
    expect(wrong[1]?.received()).toContain('allow: GET, HEAD, OPTIONS, POST');
    const add = await ask(
      url,
      'POST',
      '/fast',
      { 'content-type': 'application/json' },
      `"${'x'.repeat(998)}"`,
    );
    expect(add.status).toBe(201);
    for (const { socket } of wrong) socket.destroy();
  });

  test('are bounded for each connection: nothing behind the refusal is done, and the connection is closed', async () => {
    const url = await start({}, { requests: 99, bodyBytes: 1_000, pipelined: 3 });
    done = 0;
    const connection = open(url);
    connection.socket.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(10));
    await until(() => gates.length === 3);
    expect((await ask(url, 'GET', '/fast')).status).toBe(200);
    openAll();
    const statuses = [...(await connection.closed).matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status);
    expect(statuses).toEqual(['200', '200', '200', '503']);
    expect(done).toBe(3);
  });

  test('a crowd of probes shares one check', async () => {
    const url = await start({});
    const probes = Array.from({ length: 5 }, () => open(url));
    for (const { socket } of probes) socket.write('GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const answered = () => probes.filter(({ received }) => received().includes('{"status":"ok"}')).length;
    await until(() => gates.length === 1);
    expect((await ask(url, 'GET', '/fast')).status).toBe(200);
    expect(gates.length).toBe(1);
    await until(() => {
      openAll();
      return answered() === 5;
    });
    for (const { socket } of probes) socket.destroy();
  });
});

describe('streams of one subject', () => {
  const lines = (url: string, actor = 'clerk') => {
    const connection = open(url);
    const headers = `Host: localhost\r\nAccept: ${NDJSON}\r\nX-Actor: ${actor}\r\n`;
    connection.socket.write(`GET /lines HTTP/1.1\r\n${headers}\r\n`);
    return connection;
  };

  test('readers have a share each; who ends one may begin another', async () => {
    const url = await start({});
    const statusOf = async (connection: ReturnType<typeof open>) => {
      await until(() => connection.received().includes('\r\n'));
      return connection.received().slice(9, 12);
    };
    const [first, second, other] = [lines(url), lines(url), lines(url, 'editor')];
    expect(await Promise.all([first, second, other].map(statusOf))).toEqual(['200', '200', '200']);
    const refused = await ask(url, 'GET', '/lines', { accept: NDJSON, 'x-actor': 'clerk' });
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '1']);
    expect(refused.body.type).toBe('urn:colophon:problem:too-many-requests');
    // A page is no stream.
    expect((await ask(url, 'GET', '/fast', { 'x-actor': 'clerk' })).status).toBe(200);
    first.socket.destroy();
    let again = '429';
    while (again === '429') {
      const next = lines(url);
      again = await statusOf(next);
      next.socket.destroy();
    }
    expect(again).toBe('200');
    for (const { socket } of [second, other]) socket.destroy();
  });

  test('who leaves in the middle gives back one place, not two', async () => {
    const url = await start({});
    const begun = async () => {
      const connection = lines(url);
      await until(() => connection.received().includes('\r\n'));
      return { ...connection, status: connection.received().slice(9, 12) };
    };
    const [first, second] = [await begun(), await begun()];
    expect([first.status, second.status]).toEqual(['200', '200']);
    first.socket.destroy();
    let third = await begun();
    while (third.status === '429') third = await begun();
    const fourth = await begun();
    expect([third.status, fourth.status]).toEqual(['200', '429']);
    for (const { socket } of [second, third, fourth]) socket.destroy();
  });

  test('imports have a share of their own', async () => {
    const url = await start({});
    const post = () => ask(url, 'POST', '/import', { 'content-type': NDJSON }, '');
    const first = post();
    await until(() => gates.length === 1);
    expect((await post()).status).toBe(429);
    openAll();
    expect((await first).status).toBe(201);
  });

  test('all subjects together are bounded, and nobody who left is remembered', () => {
    const shares = new Shares('imports', 2, 3);
    const [a, b] = [shares.take('a'), shares.take('a'), shares.take('b')];
    expect(() => shares.take('a')).toThrow(expect.objectContaining({ status: 429 }));
    expect(() => shares.take('c')).toThrow(expect.objectContaining({ status: 503 }));
    a?.();
    shares.take('c');
    b?.();
    expect(shares.take('d')).toBeInstanceOf(Function);
  });
});

describe('browsers', () => {
  const ORIGIN = 'https://books.example';
  const PREFLIGHT = {
    Origin: ORIGIN,
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'authorization,content-type',
  };
  const cors = (headers: object) => Object.keys(headers).filter((name) => name.startsWith('access-control-'));

  test('a page of an origin that was given may read, and may ask what it may send', async () => {
    const url = await start({ allowedOrigins: [ORIGIN], requestsPerAddress: 3 });
    const preflight = await ask(url, 'OPTIONS', '/fast', PREFLIGHT);
    expect([preflight.status, preflight.headers]).toEqual([
      204,
      expect.objectContaining({
        'access-control-allow-origin': ORIGIN,
        'access-control-allow-methods': 'GET, HEAD, OPTIONS, POST',
        'access-control-allow-headers': 'authorization,content-type',
        vary: 'Origin',
      }),
    ]);
    const answer = await ask(url, 'GET', '/fast', { Origin: ORIGIN });
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-expose-headers': expect.stringContaining('ETag'),
      vary: 'Origin, Accept',
    });
    const other = await ask(url, 'GET', '/fast', { Origin: 'https://elsewhere.example' });
    expect([cors(other.headers), other.headers['vary']]).toEqual([[], 'Origin, Accept']);
    // A page that may read is told of a refusal too.
    const refused = await ask(url, 'GET', '/fast', { Origin: ORIGIN });
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([429, ORIGIN]);
  });

  test('no page of another origin may read if no origin is given', async () => {
    const url = await start({});
    for (const method of ['OPTIONS', 'GET'])
      expect(cors((await ask(url, method, '/fast', PREFLIGHT)).headers)).toEqual([]);
  });

  test('every answer protects its reader, refusals too', async () => {
    const url = await start({});
    for (const path of ['/', '/fast', '/nowhere', '/fast?a=1'])
      expect((await ask(url, 'GET', path)).headers).toMatchObject({
        'content-security-policy': expect.stringContaining("default-src 'self'"),
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
      });
    expect((await ask(url, 'GET', '/')).headers).not.toHaveProperty('strict-transport-security');
    expect((await ask(url, 'GET', '/', { Host: 'elsewhere' })).headers).toHaveProperty('x-frame-options');
  });
});

(canMakeCertificates() ? describe : describe.skip)('TLS', () => {
  let folder: string;
  const files = () => ({ cert: join(folder, 'node.crt'), key: join(folder, 'node.key') });
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'colophon-tls-'));
    makeCertificates(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('a renewed certificate is taken without a restart; half of one is not', async () => {
    const url = await start({ tls: files() });
    const port = Number(new URL(url).port);
    const unfollow = followTls(app?.getHttpServer(), files());
    const serial = async () => {
      const socket: TLSSocket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const [response] = await once(
      getTls({ host: '127.0.0.1', port, path: '/fast', rejectUnauthorized: false, agent: false }),
      'response',
    );
    response.resume();
    expect(response.headers['strict-transport-security']).toMatch(/^max-age=/);
    const first = await serial();
    const renewed = mkdtempSync(join(tmpdir(), 'colophon-tls-'));
    makeCertificates(renewed);
    cpSync(join(renewed, 'node.key'), files().key);
    expect(await serial()).toBe(first);
    cpSync(join(renewed, 'node.crt'), files().cert);
    let now = first;
    while (now === first) now = await serial();
    expect(now).not.toBe(first);
    unfollow();
    rmSync(renewed, { recursive: true });
  });

  test('files that are missing, or do not belong together, refuse the start', async () => {
    const tls = { cert: join(folder, 'ca.crt'), key: join(folder, 'node.key') };
    await expect(createAdapter({ ...OPTIONS, tls })).rejects.toThrow(OperatorError);
    await expect(createAdapter({ ...OPTIONS, tls: { ...tls, cert: 'missing' } })).rejects.toThrow(/ENOENT/);
  });
});
