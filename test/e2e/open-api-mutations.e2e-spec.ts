import { Agent, request } from 'node:http';
import fc, { type Arbitrary } from 'fast-check';
import { caughtUp, importLines } from '../support/catalogue.js';
import { createService, type TestService } from '../support/service.js';

/** How many requests, and the seed that repeats a run. */
const REQUESTS = Number(process.env['MUTATED_REQUESTS'] ?? 3_000);
const SEED = Number(process.env['MUTATED_SEED'] ?? 9_110);
const AT_ONCE = 8;
/** Of the connection or of the whole service, so described for no single operation. */
const OF_THE_CONNECTION = [405, 414, 417, 431];

type JsonSchema = Record<string, any>;

/** Of the requests that were refused. An event has the trace of its request. */
const refused = new Set<string>();
let sent = 0;
const nextTrace = () => `00-${(++sent).toString(16).padStart(32, '0')}-b7ad6b7169203331-01`;

interface Mutant {
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string | string[]>;
  readonly body: string | undefined;
}

let service: TestService;
let document: any;
let ids: string[];
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
beforeAll(async () => {
  service = await createService();
  document = (await service.request('GET', '/docs/openapi.json')).body;
  const made = await importLines(service, [
    { type: 'author', key: 'a', name: 'Anna Weber' },
    { type: 'author', key: 'b', name: 'Bo Chen' },
    { type: 'book', key: 'c', title: 'Pits', authors: [{ author: 'a' }, { author: 'b', roles: ['editor'] }] },
    { type: 'book', key: 'd', title: 'Hills' },
  ]);
  ids = Object.values(made);
  await service.request('DELETE', `/books/${made['d']}`);
  await caughtUp(service);
});
afterAll(async () => {
  agent.destroy();
  await service.stop();
});

const often = <T>(usual: Arbitrary<T>, odd: Arbitrary<T>): Arbitrary<T> =>
  fc.oneof({ weight: 6, arbitrary: usual }, { weight: 1, arbitrary: odd });

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom(
    '',
    ' ',
    '\u0000',
    '\ud800',
    'null',
    '-1',
    '1e999',
    '__proto__',
    'ﷺ'.repeat(1_000),
    "'; --",
    '%',
  ),
);
/** What the HTTP client sends as it is. */
const rawText = (kept: RegExp) => text.map((value) => value.replace(kept, '').slice(0, 2_000));
const rawHeader = rawText(/[^\x20-\x7e\x80-\xff]/g);
const rawUrl = rawText(/[^\x21-\x7e\x80-\xff]/g);

/** Any value that the schema allows, as far as the schema says. */
function valueOf(schema: JsonSchema): Arbitrary<unknown> {
  if (schema['anyOf']) return fc.oneof(...schema['anyOf'].map(valueOf));
  if ('const' in schema) return fc.constant(schema['const']);
  if (schema['enum']) return fc.constantFrom(...schema['enum']);
  switch (schema['type']) {
    case 'object': {
      const fields = Object.entries<JsonSchema>(schema['properties'] ?? {}).map(([name, field]) => [
        name,
        mutated(field),
      ]);
      const model = Object.fromEntries(fields) as Record<string, Arbitrary<unknown>>;
      return fc.record(model, { requiredKeys: (schema['required'] ?? []) as string[] });
    }
    case 'array':
      return fc.array(mutated(schema['items']), { maxLength: 4 });
    case 'integer':
    case 'number':
      return fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer());
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return schema['format'] === 'uuid' ? fc.oneof(fc.constantFrom(...ids), fc.uuid()) : text;
  }
}

const mutated = (schema: JsonSchema): Arbitrary<unknown> =>
  often(valueOf(schema), fc.oneof(text, fc.jsonValue()));

const encoded = (value: unknown): string => encodeURIComponent(String(value).toWellFormed());

/** A body in JSON, sometimes cut or in something else's place. */
function bodyOf(operation: any): Arbitrary<string | undefined> {
  const { content } = operation.requestBody ?? {};
  if (content?.['application/x-ndjson'])
    return fc
      .array(
        often(
          fc.jsonValue().map((value) => JSON.stringify(value)),
          text,
        ),
        { maxLength: 5 },
      )
      .map((lines) => lines.join('\n'));
  const schema = content?.['application/json']?.schema;
  const json = (schema ? mutated(schema) : fc.jsonValue()).map(
    (value) => JSON.stringify(value) as string | undefined,
  );
  const broken = fc.oneof(
    fc.tuple(json, fc.nat(200)).map(([whole, at]) => whole?.slice(0, at)),
    text,
    fc.integer({ min: 1, max: 5_000 }).map((depth) => '[{"a":'.repeat(depth)),
    fc.constant(undefined),
  );
  return often(schema ? json : fc.constant(undefined), broken);
}

const HEADERS: Record<string, Arbitrary<string | string[]>> = {
  'If-Match': fc.constantFrom('*', '"0"', 'W/"1"', '"0", "1"', '"a,b"', '"', '0'),
  'If-None-Match': fc.constantFrom('*', '"0"', 'W/"1"', '"0", "1"', '"a,b"', '"', '0'),
  'X-Actor': fc.oneof(
    fc.constantFrom('clerk', 'Zo%C3%AB', 'Zo%C3', '%00'),
    fc.constant<string[]>(['a', 'b']),
  ),
  'Idempotency-Key': fc.oneof(fc.constantFrom('k1', 'k2', ''), fc.constant<string[]>(['k1', 'k1'])),
  Accept: fc.constantFrom('*/*', 'application/json', 'application/x-ndjson', 'text/html', ';q', '*/*;q=0'),
  'Content-Type': fc.constantFrom(
    'application/json',
    'application/x-ndjson',
    'text/plain',
    'application/json;',
    '/',
  ),
  'Content-Encoding': fc.constantFrom('gzip', 'identity'),
  Origin: fc.constantFrom('null', 'http://elsewhere', 'http://localhost', ''),
  Host: fc.constantFrom('elsewhere', 'localhost', '[::1]:1', '', ':'),
  Expect: fc.constantFrom('100-continue', 'more'),
  Range: fc.constantFrom('bytes=0-1', 'bytes=5-'),
  traceparent: fc.constantFrom('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', '00'),
  // A position beyond the log's end rightly gives 503, so none is made up in this log's form.
  'Min-Position': fc.constantFrom('0', '-1', '1.00000000', 'first'),
};

function headersOf(operation: any, hasBody: boolean): Arbitrary<Mutant['headers']> {
  const own: string[] = (operation.parameters ?? [])
    .filter((parameter: any) => parameter.in === 'header')
    .map((parameter: any) => parameter.name);
  const type = operation.requestBody?.content?.['application/x-ndjson']
    ? 'application/x-ndjson'
    : 'application/json';
  const one = (name: string) =>
    often(HEADERS[name] ?? rawHeader, rawHeader).map((value) => [name, value] as const);
  const some = fc.constantFrom(...own, ...Object.keys(HEADERS)).chain(one);
  return fc.array(some, { maxLength: 2 }).map((pairs) => ({
    ...(hasBody && { 'Content-Type': type }),
    ...Object.fromEntries(pairs),
  }));
}

function pathOf(template: string, operation: any): Arbitrary<string> {
  const queries = (operation.parameters ?? []).filter((parameter: any) => parameter.in === 'query');
  const given = queries.map((parameter: any) =>
    fc.option(
      often(
        mutated(parameter.schema).map((value) => `${parameter.name}=${encoded(value)}`),
        rawUrl.map((value) => `${parameter.name}=${value}`),
      ),
      { freq: 2 },
    ),
  ) as Arbitrary<string | null>[];
  const query = fc
    .tuple(...given.map((parameter) => often(fc.constant(null), parameter)), often(fc.constant(null), rawUrl))
    .map((parts) => parts.filter((part) => part !== null).join('&'));
  const segments = template
    .split('/')
    .map((segment) =>
      segment.startsWith('{')
        ? often(fc.oneof(fc.constantFrom(...ids), fc.uuid()), fc.oneof(text.map(encoded), rawUrl))
        : fc.constant(segment),
    );
  return fc
    .tuple(fc.tuple(...segments), query)
    .map(([parts, asked]) => `${parts.join('/')}${asked === '' ? '' : `?${asked}`}`);
}

function mutants(): Arbitrary<Mutant> {
  const operations = Object.entries<any>(document.paths).flatMap(([template, methods]) =>
    Object.entries<any>(methods).map(([method, operation]) => ({ template, method, operation })),
  );
  const all = operations.map(({ template, method, operation }) => ({
    // A rebuild reads the whole log: once in a while is enough.
    weight: operation.operationId === 'startRebuild' ? 1 : 20,
    arbitrary: bodyOf(operation).chain((body) =>
      fc.record({
        operation: fc.constant(`${method} ${template}`),
        method: often(
          fc.constant(method.toUpperCase()),
          fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'),
        ),
        path: pathOf(template, operation),
        headers: headersOf(operation, body !== undefined),
        body: fc.constant(body),
      }),
    ),
  }));
  return fc.oneof(...all);
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

function send({ method, path, headers, body }: Mutant): Promise<Answer> {
  const { hostname, port } = new URL(service.url);
  return new Promise((resolve, reject) => {
    // For some methods, the client would send a body without its length.
    const sent = { ...headers, ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }) };
    const asked = request({ hostname, port, method, path, headers: sent, agent }, (response) => {
      let received = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (received += chunk)).on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          text: received,
        }),
      );
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

async function check(mutant: Mutant): Promise<number> {
  const trace = nextTrace();
  const headers = { traceparent: trace, ...mutant.headers };
  const { status, type, text: answered } = await send({ ...mutant, headers });
  if (status >= 400) refused.add(trace);
  if (status >= 500) throw new Error(`${status} ${answered}`);
  if (status >= 400) {
    expect([status, type]).toEqual([status, expect.stringMatching(/^application\/problem\+json/)]);
    if (mutant.method !== 'HEAD')
      expect(JSON.parse(answered)).toMatchObject({
        type: expect.stringMatching(/^urn:colophon:problem:[a-z-]+$/),
        status,
        detail: expect.stringMatching(/./),
      });
  }
  const [method = '', template = ''] = mutant.operation.split(' ');
  const { operationId, responses } = document.paths[template][method];
  // The home page is described for people.
  if (
    mutant.method === method.toUpperCase() &&
    operationId !== 'home' &&
    !OF_THE_CONNECTION.includes(status)
  ) {
    const described = Object.keys(responses).map(Number);
    // An odd segment may lead to another address, or to none.
    expect([...described, 404]).toContain(status);
  }
  return status;
}

/** The traces of all events. */
async function tracesInLog(): Promise<string[]> {
  const { text: lines } = await service.request('GET', '/audit/events', {
    headers: { accept: 'application/x-ndjson' },
  });
  return lines.split('\n').flatMap((line) => (line === '' ? [] : [String(JSON.parse(line).traceParent)]));
}

test(
  'whatever is made of the described requests, no answer is an error of the service, and what is refused changes nothing',
  async () => {
    const seen = new Map<number, number>();
    const { pid } = service.running.process;
    await fc.assert(
      fc.asyncProperty(fc.array(mutants(), { minLength: AT_ONCE, maxLength: AT_ONCE }), async (some) => {
        for (const status of await Promise.all(some.map(check)))
          seen.set(status, (seen.get(status) ?? 0) + 1);
      }),
      { numRuns: Math.ceil(REQUESTS / AT_ONCE), seed: SEED },
    );
    // The requests reach what they are for, and are refused in many ways.
    for (const status of [200, 201, 400, 403, 404, 405, 406, 412, 415, 421])
      expect([...seen.keys()]).toContain(status);
    const traces = await tracesInLog();
    expect(traces.filter((trace) => refused.has(trace))).toEqual([]);
    expect(traces.filter((trace) => trace.endsWith('-b7ad6b7169203331-01')).length).toBeGreaterThan(0);
    expect((await service.request('GET', '/health/ready')).status).toBe(200);
    expect((await service.request('POST', '/authors', { body: { name: 'Still here' } })).status).toBe(201);
    expect([service.running.process.pid, service.running.process.exitCode]).toEqual([pid, null]);
  },
  60_000 + REQUESTS * 50,
);
