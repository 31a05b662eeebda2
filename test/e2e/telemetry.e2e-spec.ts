import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { open } from '../support/raw-http.js';
import { ROOT, startService, type RunningService } from '../support/process.js';
import { send, type Answer, type RequestOptions } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** Marks whatever a person or a program would not want to find in logs or traces. */
const MARK = 'm4rked';
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SDK = 'samples/tracing.mjs';

/** A service that tells as much as it can, of a database that can be taken away. */
let database: TestDatabase;
let role: string;
let proxy: TcpProxy;
let service: RunningService;
beforeAll(async () => {
  database = await createDatabase();
  role = `teller_${database.name}`;
  await sql(database.url, `create role ${role} superuser login password '${MARK}-password'`);
  const url = new URL(database.url);
  proxy = await TcpProxy.to({ host: url.hostname, port: Number(url.port) });
  [url.username, url.password] = [role, `${MARK}-password`];
  service = await startService({
    DATABASE_URL: proxy.through(url.href),
    LOG_LEVEL: 'trace',
    LOG_FORMAT: 'json',
    NODE_OPTIONS: `--import=${pathToFileURL(join(ROOT, SDK)).href}`,
  });
});
afterAll(async () => {
  service.process.kill('SIGKILL');
  await proxy.close();
  await database.drop();
  await sql(new URL('/postgres', database.url).href, `drop role ${role}`);
});

const request = (method: string, path: string, options?: RequestOptions) =>
  send(`${service.url}${path}`, method, options);

const PERSONAL = {
  'x-actor': `${MARK}-actor`,
  reason: `${MARK}%20reason`,
  authorization: `Bearer ${MARK}.token`,
  cookie: `session=${MARK}`,
};
const post = (path: string, body: object, headers: Record<string, string> = {}): Promise<Answer> =>
  request('POST', path, { body, headers: { ...PERSONAL, ...headers } });

test('output names requests, changes and traces, and no token, password or personal text', async () => {
  const ids = { 'x-request-id': 'request-1', 'x-correlation-id': 'change-1' };
  const traceparent = `00-${TRACE}-b7ad6b7169203331-01`;
  const one = await post('/authors', { name: `${MARK} One` }, { ...ids, traceparent });
  const two = await post('/authors', { name: `${MARK} Two` }, { 'idempotency-key': `${MARK} key` });
  const [first, second] = [one, two].map(({ body }) => body.id as string);
  const links = [{ authorId: first, creditedAs: `${MARK} credit` }];
  const book = await post('/books', { title: `${MARK} title`, authors: links });
  const merged = await post(`/authors/${first}/merge`, { into: second }, { prefer: 'wait=30' });
  expect([one, two, book, merged].map(({ status }) => status)).toEqual([201, 201, 201, 200]);
  expect(one.headers.get('x-request-id')).toBe('request-1');

  // Imports and refusals.
  const lines = [
    { type: 'author', key: `${MARK} key`, name: `${MARK} Three` },
    { type: 'author', key: `${MARK} key`, name: MARK.repeat(1_000) },
    { type: MARK, [MARK]: MARK },
  ].map((line) => JSON.stringify(line));
  const raw = [...lines, `{"key": ${MARK}`, ''].join('\n');
  const ndjson = { ...PERSONAL, 'content-type': 'application/x-ndjson' };
  const imported = await request('POST', '/imports', { raw, headers: ndjson });
  expect(imported.text.match(/"status":"\w+"/g)).toEqual(
    ['added', ...Array<string>(3).fill('failed')].map((status) => `"status":"${status}"`),
  );
  expect(imported.headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/);
  const refused = [
    await post('/authors', { id: second, name: `${MARK} Four` }),
    await post('/authors', { name: MARK.repeat(1_000), [MARK]: MARK }),
    await request('POST', '/authors', { raw: `{"name": ${MARK}`, headers: PERSONAL }),
    await post('/authors', { name: `${MARK} Five` }, { origin: `https://${MARK}.example` }),
    await post('/authors', { name: `${MARK} Six` }, { 'if-match': MARK }),
    await request('GET', `/authors?search=${MARK}&${MARK}=${MARK}`),
    await request('GET', `/authors/${MARK}`),
    await request('GET', `/${MARK}/%ff?${MARK}`),
    await request('GET', `/${MARK}`, { headers: { 'x-request-id': `${MARK} person@${MARK}.example` } }),
  ];
  expect(refused.map(({ status }) => status)).toEqual([409, 400, 400, 403, 400, 400, 400, 400, 404]);
  for (const { body, headers } of refused) {
    expect(body.requestId).toMatch(/^[\da-f-]{36}$/);
    expect(headers.get('x-request-id')).toBe(body.requestId);
  }

  // Errors and outages.
  await caughtUp({ request });
  await sql(database.url, 'alter table catalogue.authors rename to away');
  const broken = await request('GET', `/authors?search=${MARK}`);
  const unseen = await post('/authors', { name: `${MARK} Seven` }, { 'x-correlation-id': `${MARK} change` });
  await sql(database.url, 'alter table catalogue.away rename to authors');
  await caughtUp({ request });
  proxy.down();
  const away = await request('GET', `/authors?search=${MARK}`);
  const unwritten = await post(
    '/authors',
    { name: `${MARK} Eight` },
    { 'idempotency-key': MARK, 'x-correlation-id': 'change-2' },
  );
  expect([broken, unseen, away, unwritten].map(({ status }) => status)).toEqual([500, 201, 503, 503]);
  proxy.pass();

  // The span of a request that ends while the service stops is kept too.
  const late = open(service.url);
  late.socket.write(
    'POST /imports HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n' +
      'X-Request-Id: late\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n',
  );
  while (!late.received().includes('"failed"')) await new Promise((again) => setTimeout(again, 5));
  service.process.kill('SIGTERM');
  while (await request('GET', '/health/live').catch(() => undefined));
  late.socket.write('0\r\n\r\n');
  expect(await service.ended).toBe(0);
  const output = service.output();
  const logged = output
    .split('\n')
    .filter((line) => line.startsWith('{"'))
    .map((line) => JSON.parse(line) as Record<string, string>);
  expect(output.toLowerCase()).not.toContain(MARK);
  for (const line of logged)
    expect(line).toMatchObject({
      level: expect.any(String),
      time: expect.any(String),
      message: expect.anything(),
    });
  const lineOf = (answer: Answer, level: string) =>
    logged.find((line) => line['requestId'] === answer.body.requestId && line['level'] === level);
  expect(logged).toContainEqual(
    expect.objectContaining({
      context: 'request',
      message: 'POST /authors: 201',
      requestId: 'request-1',
      changeId: 'change-1',
      traceId: TRACE,
    }),
  );
  expect(lineOf(broken, 'error')).toMatchObject({
    context: 'http',
    stack: expect.stringContaining('authors'),
  });
  expect(lineOf(away, 'warn')).toMatchObject({ message: expect.stringMatching(/^GET \/authors: ./) });
  expect(lineOf(unwritten, 'warn')).toMatchObject({ changeId: 'change-2' });
  expect(output).toContain("'colophon.request_id': 'late'");
  const spans = [...output.matchAll(/^ {2}name: '(.*)',$/gm)].map(([, name]) => name);
  for (const name of ['POST /authors', 'AddAuthor', 'append', 'project catalogue', 'policy AuthorMerged'])
    expect(spans).toContain(name);
});

test('the documentation shows the SDK file that was just loaded', () => {
  const page = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8');
  expect(page.includes(readFileSync(join(ROOT, SDK), 'utf8'))).toBe(true);
});
