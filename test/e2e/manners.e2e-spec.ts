import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { createService, type Answer, type RequestOptions, type TestService } from '../support/service.js';

let service: TestService;
let author: string;
let book: string;
beforeAll(async () => {
  service = await createService();
  author = (await service.request('POST', '/authors', { body: { name: 'Jane Austen' } })).body.id;
  book = (await service.request('POST', '/books', { body: { title: 'Emma' } })).body.id;
});
afterAll(() => service.stop());

/** What every refusal has in common; the log is as long after it as before. */
async function refused(method: string, path: string, options: RequestOptions, status: number, slug: string) {
  const before = await service.request('GET', '/projections');
  const answer = await service.request(method, path, options);
  expect({ status: answer.status, type: answer.body?.type }).toEqual({
    status,
    type: `urn:colophon:problem:${slug}`,
  });
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.body).toMatchObject({
    status,
    title: expect.any(String),
    detail: expect.stringMatching(/.+/),
  });
  const after = await service.request('GET', '/projections');
  expect(after.body.items[0].head).toBe(before.body.items[0].head);
  return answer;
}

const invalid = async (method: string, path: string, options: RequestOptions): Promise<string[]> => {
  const { body }: Answer = await refused(method, path, options, 400, 'invalid-request');
  return body.errors.map(({ pointer, rule }: any) => `${pointer} ${rule}`);
};

const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

test.each<[string, string | Uint8Array<ArrayBuffer>]>([
  ['cut short', '{"name":'],
  ['with something behind it', '{"name":"x"} x'],
  ['not UTF-8', Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x7d])],
  ['nested deeply', `{"name":${deep}}`],
  ['nested deeply where nothing is expected', `{"name":"x","more":${deep}}`],
])('JSON that is %s is refused', async (_, raw) => {
  await refused('POST', '/authors', { raw }, 400, 'malformed-json');
  // With a key the body is digested before it is understood.
  await refused('POST', '/authors', { raw, headers: { 'idempotency-key': 'k' } }, 400, 'malformed-json');
});

test('brackets in strings are no nesting', async () => {
  const name = `${'[{'.repeat(200)}\\" "`;
  expect((await service.request('POST', '/authors', { body: { name } })).status).toBe(201);
});

test.each<[string, unknown, string[]]>([
  ['no body', undefined, [' required']],
  ['null', null, [' type']],
  ['a list', [], [' type']],
  ['nothing in it', {}, ['/name required']],
  ['a number for a name', { name: 7 }, ['/name type']],
  ['null for a name', { name: null }, ['/name type']],
  ['an unknown field', { name: 'x', 'a/b': 1 }, ['/a~1b unknown-field']],
  ['an empty name', { name: '' }, ['/name blank']],
  ['a name of blanks', { name: ' \u00a0\u3000' }, ['/name blank']],
  ['a name nobody can see', { name: '\u200b\u2060\u00ad\u3164' }, ['/name blank']],
  ['a NUL', { name: 'a\u0000b' }, ['/name control-character']],
  ['an escape', { name: 'a\u001b[31mb' }, ['/name control-character']],
  ['half of a surrogate pair', { name: 'a\ud800' }, ['/name lone-surrogate']],
  ['a name too long', { name: 'x'.repeat(1_001) }, ['/name too-long']],
  ['an id that is none', { id: 'abc', name: 'x' }, ['/id uuid']],
  ['an id in one brace', { id: `{${randomUUID()}`, name: 'x' }, ['/id uuid']],
  ['several faults', { id: 1, name: '', more: 1 }, ['/id type', '/name blank', '/more unknown-field']],
])('an author with %s is refused with the field and the rule', async (_, body, errors) => {
  expect(await invalid('POST', '/authors', { body })).toEqual(errors);
});

test('__proto__ is a field like any other, and unknown', async () => {
  expect(await invalid('POST', '/authors', { raw: '{"name":"x","__proto__":{"a":1}}' })).toEqual([
    '/__proto__ unknown-field',
  ]);
});

test.each<[string, unknown, string[]]>([
  ['roles that are no list', { title: 'x', authors: [{ roles: 'author' }] }, []],
  [
    'an unknown role',
    { title: 'x', authors: [{ authorId: randomUUID(), roles: ['king'] }] },
    ['/authors/0/roles/0 one-of'],
  ],
  ['no role', { title: 'x', authors: [{ authorId: randomUUID(), roles: [] }] }, ['/authors/0/roles too-few']],
  [
    'a position, which a list gives by its order',
    { title: 'x', authors: [{ authorId: randomUUID(), position: 1 }] },
    ['/authors/0/position unknown-field'],
  ],
  [
    'too many authors',
    { title: 'x', authors: new Array(2_001).fill({ authorId: randomUUID() }) },
    ['/authors too-many'],
  ],
])('a book with %s is refused', async (_, body, errors) => {
  const told = await invalid('POST', '/books', { body });
  if (errors.length > 0) expect(told).toEqual(errors);
  else expect(told).toEqual(['/authors/0/authorId required', '/authors/0/roles type']);
});

test.each([0, -1, 1.5, '1', null, 1e9])('the position %p is refused', async (position) => {
  const [error] = await invalid('PUT', `/books/${book}/authors/${author}`, { body: { position } });
  expect(error).toMatch(/^\/position (too-small|too-large|type|invalid)/);
});

test.each<[string, string, string]>([
  ['/authors/abc', 'path/id uuid', 'GET'],
  ['/authors/abc', 'path/id uuid', 'DELETE'],
  [`/books/abc/authors/${randomUUID()}`, 'path/id uuid', 'PUT'],
  [`/books/${randomUUID()}/authors/abc`, 'path/authorId uuid', 'PUT'],
  ['/authors/00000000-0000-0000-0000-00000000000g', 'path/id uuid', 'GET'],
  ['/audit/authors/abc', 'path/id uuid', 'GET'],
  ['/authors?limit=0', 'query/limit too-small', 'GET'],
  ['/authors?limit=501', 'query/limit too-large', 'GET'],
  ['/authors?limit=ten', 'query/limit regex', 'GET'],
  ['/authors?limit=1&limit=2', 'query/limit type', 'GET'],
  ['/authors?colour=red', 'query/colour unknown-field', 'GET'],
  ['/authors?sort=age', 'query/sort one-of', 'GET'],
  ['/authors?after=abc', 'query/after cursor', 'GET'],
  ['/authors?book=abc', 'query/book uuid', 'GET'],
  ['/authors?role=king', 'query/role one-of', 'GET'],
  ['/authors?hasBooks=maybe', 'query/hasBooks one-of', 'GET'],
  ['/authors?include=everything', 'query/include one-of', 'GET'],
  ['/authors?search=%00', 'query/search invalid', 'GET'],
  ['/books?author=abc', 'query/author uuid', 'GET'],
  ['/audit/events?after=-1', 'query/after position', 'GET'],
  ['/audit/events?after=1.00000000', 'query/after position', 'GET'],
  ['/audit/events?types=a;b', 'query/types regex', 'GET'],
  ['/audit/events?stream=authors', 'query/stream regex', 'GET'],
  ['/authors/{author}?books=burn', 'query/books one-of', 'DELETE'],
])('%s is refused with %s', async (path, error, method) => {
  const errors = await invalid(method, path.replace('{author}', author), {});
  expect(errors).toContain(error);
});

test.each<[string, string, string]>([
  ['Min-Position', 'first', 'position'],
  ['Min-Position', '-1', 'position'],
  ['Min-Position', '1', 'position'],
  // A token of another log: the mark is not this one's.
  ['Min-Position', '1.00000000', 'position'],
])('the header %s: %s of a query is refused', async (name, value, rule) => {
  const told = await invalid('GET', '/authors', { headers: { [name]: value } });
  expect(told).toEqual([`header/${name} ${rule}`]);
});

test.each<[string, string, string]>([
  ['X-Actor', 'Zo%C3', 'percent-encoding'],
  ['X-Actor', 'a%00b', 'control-character'],
  ['X-Actor', '%E2%80%8B', 'blank'],
  ['Reason', 'x'.repeat(3_001), 'too-long'],
  ['Idempotency-Key', 'k'.repeat(256), 'too-long'],
  ['Idempotency-Key', '', 'blank'],
  ['X-Correlation-Id', 'c'.repeat(256), 'too-long'],
  ['If-Match', 'abc', 'entity-tag'],
])('the header %s: %s of a command is refused', async (name, value, rule) => {
  const told = await invalid('POST', '/authors', { body: { name: 'x' }, headers: { [name]: value } });
  expect(told).toEqual([`header/${name} ${rule}`]);
});

test.each([
  ['createdAt', '1'],
  ['createdAt', '2026-02-31T00:00:00.000Z'],
  ['createdAt', '+012026-01-01T00:00:00.000Z'],
  ['-createdAt', '2026-01-01'],
])('a forged cursor in the order %s with %s is refused', async (sort, value) => {
  const after = Buffer.from(JSON.stringify([sort, value, author])).toString('base64url');
  expect(await invalid('GET', `/authors?sort=${sort}&after=${after}`, {})).toEqual(['query/after cursor']);
});

test('a position beyond all positions is refused', async () => {
  const { head } = (await service.request('GET', '/projections')).body.items[0];
  const beyond = head.replace(/^\d+/, '9223372036854775808');
  expect(await invalid('GET', `/audit/events?after=${beyond}`, {})).toEqual(['query/after position']);
});

test('an import takes no key and no condition', async () => {
  for (const name of ['Idempotency-Key', 'If-Match']) {
    const headers = { 'content-type': 'application/x-ndjson', [name]: '"1"' };
    expect(await invalid('POST', '/imports', { raw: '{}', headers })).toEqual([
      `header/${name} not-applicable`,
    ]);
  }
});

test('a compressed body is refused, unless an import can inflate it', async () => {
  for (const [type, encoding] of [
    ['application/json', 'gzip'],
    ['application/x-ndjson', 'br'],
  ] as const) {
    const headers = { 'content-type': type, 'content-encoding': encoding };
    const path = type === 'application/json' ? '/authors' : '/imports';
    await refused('POST', path, { raw: '{}', headers }, 415, 'unsupported-media-type');
  }
});

test('a body too large is refused', async () => {
  const body = { name: 'x'.repeat(1_100_000) };
  await refused('POST', '/authors', { body }, 413, 'too-large');
});

// In quadratic time, one of these bodies would keep the service busy for minutes.
test.each([' ', '\t ', '\n ', '\u0301\u0323'])(
  'texts full of %j are refused in every field',
  async (units) => {
    const long = `a${units.repeat(400_000 / units.length)}b`;
    const short = `a${units.repeat(4_000 / units.length)}b`;
    const path = `/books/${book}/authors/${author}`;
    expect(await invalid('POST', '/authors', { body: { name: long } })).toEqual(['/name too-long']);
    expect(await invalid('PATCH', `/authors/${author}`, { body: { name: long } })).toEqual([
      '/name too-long',
    ]);
    expect(await invalid('POST', '/books', { body: { title: long } })).toEqual(['/title too-long']);
    expect(await invalid('PUT', path, { body: { creditedAs: long } })).toEqual(['/creditedAs too-long']);
    const authors = Array.from({ length: 100 }, () => ({ authorId: randomUUID(), creditedAs: short }));
    expect(await invalid('POST', '/books', { body: { title: 'x', authors } })).toEqual(
      authors.slice(0, 20).map((_, index) => `/authors/${index}/creditedAs too-long`),
    );
    const line = `${JSON.stringify({ type: 'author', key: 'k', name: long })}\n`;
    const headers = { 'content-type': 'application/x-ndjson' };
    const { text } = await service.request('POST', '/imports', { raw: line.repeat(20), headers });
    expect(text.match(/"rule":"too-long"/g)).toHaveLength(20);
  },
);

// Headers and addresses have at most 16 KiB. No expression may take longer than linear time for them.
test.each<[string, RequestOptions]>([
  [`/authors?after=${'A'.repeat(8_000)}`, {}],
  [
    `/authors?sort=createdAt&after=${Buffer.from(`["createdAt","${'1'.repeat(1_000)}"]`).toString('base64url')}`,
    {},
  ],
  [`/audit/events?after=${'1'.repeat(8_000)}`, {}],
  [`/audit/events?types=${'a,'.repeat(4_000)}`, {}],
  [`/audit/events?stream=${'a-'.repeat(4_000)};`, {}],
  [`/authors/${randomUUID()}?asOf=2026-01-01T00:00:00.${'0'.repeat(8_000)}x`, {}],
  ['/authors', { headers: { 'min-position': '1'.repeat(8_000) } }],
  ['/authors', { headers: { 'min-position': `${'1.'.repeat(4_000)}` } }],
])('a query as long as a request can be is refused: %.60s', async (path, options) => {
  for (let time = 0; time < 20; time += 1)
    expect((await invalid('GET', path, options)).length).toBeGreaterThan(0);
});

test('a list of entity tags as long as a request can be is refused', async () => {
  const headers = { 'if-match': `${'"1",'.repeat(2_000)}1"` };
  for (let time = 0; time < 20; time += 1)
    expect(await invalid('PATCH', `/authors/${author}`, { body: { name: 'x' }, headers })).toEqual([
      'header/If-Match entity-tag',
    ]);
});

test('a body that is not JSON is refused', async () => {
  const headers = { 'content-type': 'text/plain' };
  await refused('POST', '/authors', { raw: 'x', headers }, 415, 'unsupported-media-type');
  await refused('POST', '/imports', { raw: '{}' }, 415, 'unsupported-media-type');
});

test('an address where nothing is, and a method that is not for it', async () => {
  await refused('GET', '/nowhere', {}, 404, 'route-not-found');
  await refused('GET', '/authors/', {}, 404, 'route-not-found');
  const wrong = await refused('PUT', '/authors', {}, 405, 'method-not-allowed');
  expect(wrong.headers.get('allow')).toBe('GET, HEAD, OPTIONS, POST');
  await refused('POST', `/books/${book}`, {}, 405, 'method-not-allowed');
  await refused('GET', '/authors/%', {}, 400, 'malformed-url');
  await refused('GET', `/authors/${'a'.repeat(300)}`, {}, 414, 'malformed-request');
});

test('who is not there is not found', async () => {
  await refused('GET', `/authors/${randomUUID()}`, {}, 404, 'author-not-found');
  await refused('GET', `/books/${randomUUID()}/authors`, {}, 404, 'book-not-found');
  await refused('PATCH', `/books/${randomUUID()}`, { body: { title: 'x' } }, 404, 'book-not-found');
  await refused('DELETE', `/authors/${randomUUID()}`, {}, 404, 'author-not-found');
  await refused('GET', `/audit/books/${randomUUID()}`, {}, 404, 'book-not-found');
});

test('what is not HTTP gets an answer all the same', async () => {
  const { port, hostname } = new URL(service.url);
  const text = await new Promise<string>((resolve) => {
    let received = '';
    const socket = connect(Number(port), hostname, () => socket.end('hello\r\n\r\n'));
    socket.on('data', (chunk: Buffer) => (received += chunk.toString())).on('close', () => resolve(received));
  });
  expect(text).toMatch(/^HTTP\/1.1 400 Bad Request\r\ncontent-type: application\/problem\+json/);
});
