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
  expect((await read(`authors/${author.id}?after=7`)).body).toEqual({
    id: author.id,
    events: [],
    next: null,
  });
  for (const query of ['limit=0', 'limit=1001', 'after=x', 'after=-1', `after=${'9'.repeat(30)}`, 'page=2'])
    expect((await read(`authors/${author.id}?${query}`)).status).toBe(400);
  expect((await read(`authors/${ids['b']}?after=3`)).status).toBe(404);
});
