import { once } from 'node:events';
import { get } from 'node:http';
import { importLines } from '../support/catalogue.js';
import { start } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';

const AUTHORS = 3_000;
let service: TestService;
let ids: Record<string, string>;
beforeAll(async () => {
  service = await createService();
  ids = await importLines(service, [
    ...Array.from({ length: AUTHORS }, (_, n) => ({ type: 'author', key: `a${n}`, name: `Author ${n}` })),
    { type: 'book', key: 'b', title: 'Book', authors: [{ author: 'a0' }, { author: 'a1' }] },
  ]);
});
afterAll(() => service.stop());

const read = (path: string, accept = 'application/json') =>
  service.request('GET', `/audit/${path}`, { headers: { accept } });
const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

test('the history of a book tells everything that happened to it and its links', async () => {
  await service.request('DELETE', `/books/${ids['b']}/authors/${ids['a0']}`, {
    headers: { 'x-actor': 'clerk', reason: 'misattributed' },
  });
  await service.request('DELETE', `/books/${ids['b']}`);
  const { body } = await read(`books/${ids['b']}`);
  expect(body.id).toBe(ids['b']);
  expect(body.events.map(({ type, data, revision }: any) => [revision, type, data])).toEqual([
    ['0', 'BookAdded', { title: 'Book', key: 'b' }],
    ['1', 'BookLinked', { authorId: ids['a0'], position: 1, roles: ['author'], creditedAs: null }],
    ['2', 'BookLinked', { authorId: ids['a1'], position: 2, roles: ['author'], creditedAs: null }],
    ['3', 'BookUnlinked', { authorId: ids['a0'] }],
    ['4', 'BookRemoved', {}],
  ]);
  expect(body.events[3]).toMatchObject({
    actor: 'clerk',
    reason: 'misattributed',
    stream: `book-${ids['b']}`,
    recordedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
  });
  const positions = body.events.map((event: any) => BigInt(event.position.split('.')[0]));
  expect(positions).toEqual(positions.toSorted((a: bigint, b: bigint) => (a < b ? -1 : 1)));
});

test('the log is read in pages, to the head and not beyond', async () => {
  const seen: any[] = [];
  for (let after = ''; ;) {
    const { body } = await read(`events?limit=700${after}`);
    expect(body.items.length).toBeLessThanOrEqual(700);
    seen.push(...body.items);
    if (body.next === null) break;
    expect(body.next).toBe(body.items.at(-1).position);
    after = `&after=${body.next}`;
  }
  const { head } = (await service.request('GET', '/projections')).body.items[0];
  expect(seen).toHaveLength(AUTHORS + 5);
  expect(seen.at(-1).position).toBe(head);
  expect((await read(`events?after=${head}`)).body).toEqual({ items: [], next: null });
});

test('the log is filtered by type and stream', async () => {
  const types = (body: any) => body.items.map((event: any) => event.type);
  expect(types((await read('events?types=BookUnlinked,BookRemoved')).body)).toEqual([
    'BookUnlinked',
    'BookRemoved',
  ]);
  expect(types((await read(`events?stream=book-${ids['b']}&types=BookLinked`)).body)).toEqual([
    'BookLinked',
    'BookLinked',
  ]);
  expect(types((await read('events?types=Nothing')).body)).toEqual([]);
});

test('as NDJSON, and on the command line, the log is the same, whole', async () => {
  const ndjson = await read('events', 'application/x-ndjson');
  expect(ndjson.headers.get('content-type')).toMatch(/^application\/x-ndjson/);
  const events = lines(ndjson.text);
  expect(events).toHaveLength(AUTHORS + 5);
  const { body } = await read('events?limit=1000');
  expect(events.slice(0, 1000)).toEqual(body.items);

  const { env } = service;
  const replayed = start('dist/src/cli.js', ['replay'], env);
  expect(await replayed.ended).toBe(0);
  expect(replayed.output()).toBe(ndjson.text);
  const part = start(
    'dist/src/cli.js',
    ['replay', '--types', 'BookAdded', '--after', body.items[9].position],
    env,
  );
  expect(await part.ended).toBe(0);
  expect(lines(part.output())).toMatchObject([{ type: 'BookAdded', data: { title: 'Book' } }]);
  const wrong = start('dist/src/cli.js', ['replay', '--after', 'x'], env);
  expect(await wrong.ended).toBe(1);
  expect(wrong.output()).toContain('not a position');
});

test('a reader who leaves a long stream takes nothing down', async () => {
  for (let n = 0; n < 20; n += 1) {
    const request = get(`${service.url}/audit/events`, { headers: { accept: 'application/x-ndjson' } });
    const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream & { destroy(): void }];
    await once(response, 'data');
    response.destroy();
  }
  expect((await service.request('GET', '/health/ready')).status).toBe(200);
});

test('a long history is read in pages', async () => {
  const { body: author } = await service.request('POST', '/authors', { body: { name: 'Name 0' } });
  for (let n = 1; n < 8; n += 1)
    await service.request('PATCH', `/authors/${author.id}`, { body: { name: `Name ${n}` } });
  const names: string[] = [];
  const sizes: number[] = [];
  for (let after = ''; ;) {
    const { body } = await read(`authors/${author.id}?limit=4${after}`);
    sizes.push(body.events.length);
    names.push(...body.events.map(({ data }: any) => data.name));
    if (body.next === null) break;
    after = `&after=${body.next}`;
  }
  expect(sizes).toEqual([4, 4]);
  expect(names).toEqual(Array.from({ length: 8 }, (_, n) => `Name ${n}`));
  const { body: whole } = await read(`authors/${author.id}`);
  const { position } = whole.events.at(-1);
  expect((await read(`authors/${author.id}?after=${position}`)).body).toEqual({
    id: author.id,
    events: [],
    next: null,
    upTo: expect.any(String),
  });
  for (const query of ['limit=0', 'limit=1001', 'after=x', 'after=-1', `after=${'9'.repeat(30)}`, 'page=2'])
    expect((await read(`authors/${author.id}?${query}`)).status).toBe(400);
  expect((await read(`authors/${ids['b']}?after=${position}`)).status).toBe(404);
});

/** A command of an actor, as part of a change. @returns the answer's body. */
const command = async (actor: string, change: string, method: string, path: string, body?: object) => {
  const headers = { 'x-actor': actor, reason: `why ${actor}`, 'x-correlation-id': change };
  const answer = await service.request(method, path, { headers, ...(body && { body }) });
  expect(answer.status).toBeLessThan(300);
  return answer.body;
};
const shown = (events: any[]) => events.map(({ type, actor }: any) => `${type} by ${actor}`);
/** All pages of a list. */
async function pages(path: string, limit: number): Promise<any[]> {
  const seen: any[] = [];
  for (let after = ''; ;) {
    const { status, body } = await read(`${path}&limit=${limit}${after}`);
    expect(status).toBe(200);
    expect(body.items.length).toBeLessThanOrEqual(limit);
    seen.push(...body.items);
    if (body.next === null) return seen;
    after = `&after=${body.next}`;
  }
}

test('the feed is filtered by actor, change, author, book and time, in both directions, at once after a command', async () => {
  const author = (await command('editor', 'spring', 'POST', '/authors', { name: 'Ada' })).id;
  const book = (
    await command('editor', 'spring', 'POST', '/books', { title: 'Notes', authors: [{ authorId: author }] })
  ).id;
  await command('clerk', 'summer', 'PATCH', `/books/${book}`, { title: 'Notes 2' });
  await command('clerk', 'spring', 'DELETE', `/books/${book}/authors/${author}`);
  const last = await command('editor', 'summer', 'PATCH', `/authors/${author}`, { name: 'Ada L.' });
  const expected: [query: string, events: string[]][] = [
    ['actor=clerk&author=' + author, ['BookUnlinked by clerk']],
    ['actor=clerk&change=summer', ['BookRetitled by clerk']],
    [
      'change=spring',
      ['AuthorAdded by editor', 'BookAdded by editor', 'BookLinked by editor', 'BookUnlinked by clerk'],
    ],
    ['change=spring&types=BookLinked,BookUnlinked', ['BookLinked by editor', 'BookUnlinked by clerk']],
    [
      `author=${author}`,
      ['AuthorAdded by editor', 'BookLinked by editor', 'BookUnlinked by clerk', 'AuthorRenamed by editor'],
    ],
    [`author=${author}&book=${book}`, ['BookLinked by editor', 'BookUnlinked by clerk']],
    [`book=${book}&types=BookRetitled`, ['BookRetitled by clerk']],
    [`stream=author-${author}&actor=editor`, ['AuthorAdded by editor', 'AuthorRenamed by editor']],
    [`author=${author}&since=${last.position}`, ['AuthorRenamed by editor']],
    [`author=${author}&until=${last.position}&types=AuthorRenamed`, ['AuthorRenamed by editor']],
    ['change=nothing', []],
    ['actor=nobody&types=AuthorAdded', []],
    [`author=${crypto.randomUUID()}`, []],
  ];
  for (const [query, events] of expected) {
    expect([query, shown(await pages(`events?${query}`, 2))]).toEqual([query, events]);
    expect([query, shown(await pages(`events?${query}&sort=-position`, 3))]).toEqual([
      query,
      events.toReversed(),
    ]);
    const ndjson = await read(`events?${query}&sort=-position`, 'application/x-ndjson');
    expect([query, shown(lines(ndjson.text))]).toEqual([query, events.toReversed()]);
    expect(ndjson.headers.get('position')).toBe(last.position);
  }
  const [linked] = (await read(`events?book=${book}&types=BookLinked`)).body.items;
  const at = linked.recordedAt;
  const times = (await pages(`events?author=${author}&since=${at}&until=${at}`, 10)).map(
    ({ recordedAt }) => recordedAt,
  );
  expect(times.length).toBeGreaterThan(0);
  expect(new Set(times)).toEqual(new Set([at]));
  expect((await read(`events?author=${author}&until=1999-12-31`)).body).toMatchObject({
    items: [],
    next: null,
  });
  const { body } = await read(`events?change=summer`);
  expect(body).toMatchObject({ next: null, upTo: last.position });
  expect((await read(`events?change=summer&after=${body.upTo}`)).body.items).toEqual([]);
});

test('the whole log is read backward too', async () => {
  const forward = await pages('events?sort=position', 1_000);
  expect(await pages('events?sort=-position', 999)).toEqual(forward.toReversed());
  const ndjson = await read('events?sort=-position', 'application/x-ndjson');
  expect(lines(ndjson.text)).toEqual(forward.toReversed());
});

test('the history of an author has the links with books, in the order of the log', async () => {
  const author = (await command('a', 'c', 'POST', '/authors', { name: 'Eve' })).id;
  const authors = [{ authorId: author }, { authorId: ids['a5'] }];
  const book = (await command('b', 'c', 'POST', '/books', { title: 'T', authors })).id;
  await command('c', 'c', 'PATCH', `/books/${book}`, { title: 'T2' });
  await command('d', 'c', 'PUT', `/books/${book}/authors/${author}`, { roles: ['editor'] });
  await command('e', 'c', 'PATCH', `/authors/${author}`, { name: 'Eva' });
  await command('f', 'c', 'DELETE', `/books/${book}`);
  await command('g', 'c', 'POST', `/books/${book}/restore`);
  const history = ['AuthorAdded by a', 'BookLinked by b', 'BookLinkChanged by d', 'AuthorRenamed by e'];
  const whole = [...history, 'BookRemoved by f', 'BookRestored by g'];
  expect(shown((await read(`authors/${author}`)).body.events)).toEqual(whole);
  const first = (await read(`authors/${author}?limit=4`)).body;
  expect(shown(first.events)).toEqual(history);
  const rest = (await read(`authors/${author}?after=${first.next}`)).body;
  expect(shown(rest.events)).toEqual(whole.slice(4));
  expect(rest.next).toBeNull();
});

test('a change is shown with who, when and why, the newest event first', async () => {
  const change = `import of ${crypto.randomUUID()}`;
  const author = (await command('anna', change, 'POST', '/authors', { name: 'X' })).id;
  for (const name of ['Y', 'Z']) await command('bert', change, 'PATCH', `/authors/${author}`, { name });
  const get = (path: string) => service.request('GET', `/changes/${path}`);
  const path = encodeURIComponent(change);
  const { status, body } = await get(`${path}?limit=2`);
  expect(status).toBe(200);
  expect(body).toMatchObject({ id: change, actor: 'anna', reason: 'why anna' });
  expect(shown(body.events)).toEqual(['AuthorRenamed by bert', 'AuthorRenamed by bert']);
  const second = (await get(`${path}?after=${body.next}`)).body;
  expect(second).toMatchObject({ actor: 'anna', startedAt: second.events[0].recordedAt, next: null });
  expect(shown(second.events)).toEqual(['AuthorAdded by anna']);
  const unknown = await get(crypto.randomUUID());
  expect(unknown).toMatchObject({ status: 404, body: { type: 'urn:colophon:problem:change-not-found' } });
  for (const [query, pointer, rule] of [
    ['?after=x', 'query/after', 'position'],
    ['?limit=0', 'query/limit', 'too-small'],
    ['?page=1', 'query/page', 'unknown-field'],
  ])
    expect((await get(`${path}${query}`)).body).toMatchObject({ status: 400, errors: [{ pointer, rule }] });
});

test('a filter that can’t be is refused with its field and rule', async () => {
  for (const [query, pointer, rule] of [
    ['types=A,', 'query/types', 'regex'],
    [`types=${Array.from({ length: 51 }, (_, n) => `T${n}`).join()}`, 'query/types', 'too-many'],
    ['stream=x', 'query/stream', 'regex'],
    ['actor=', 'query/actor', 'too-small'],
    [`actor=${'a'.repeat(256)}`, 'query/actor', 'too-large'],
    ['change=%00', 'query/change', 'invalid'],
    ['author=1', 'query/author', 'uuid'],
    ['book=1', 'query/book', 'uuid'],
    ['since=yesterday', 'query/since', 'as-of'],
    ['until=2026-02-30', 'query/until', 'as-of'],
    ['sort=type', 'query/sort', 'one-of'],
    ['after=1', 'query/after', 'position'],
  ])
    expect([query, (await read(`events?${query}`)).body]).toMatchObject([
      query,
      { status: 400, errors: [{ pointer, rule }] },
    ]);
  const headers = { 'min-position': 'x' };
  expect((await service.request('GET', '/audit/events?actor=a', { headers })).body).toMatchObject({
    status: 400,
    errors: [{ pointer: 'header/Min-Position', rule: 'position' }],
  });
});
