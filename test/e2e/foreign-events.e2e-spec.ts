import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { caughtUp } from '../support/catalogue.js';
import { writePastColophon, type ForeignEvent } from '../support/past-colophon.js';
import { start } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';
import { readTables } from '../support/tables.js';

// Whatever stands in the log: other programs write there too, and newer versions of this one.

let service: TestService;
beforeAll(async () => {
  service = await createService();
});
afterAll(() => service.stop());

const get = async (path: string) => (await service.request('GET', path)).body;
const projection = async () => (await get('/projections')).items[0];
const metadata = { actor: 'x', commandId: 'c', correlationId: 'c', causationId: 'c', schemaVersion: 1 };

async function colophon(...args: string[]): Promise<{ code: number | string; output: string }> {
  const running = start('dist/src/cli.js', args, service.env);
  const code = await running.ended;
  return { code, output: running.output() };
}

/** Adds an author and sees it in the tables: neither commands nor projections stand still. */
async function works(): Promise<void> {
  const added = await service.request('POST', '/authors', { body: { name: 'Anna' } });
  expect(added.status).toBe(201);
  await caughtUp(service);
  expect((await service.request('GET', `/authors/${added.body.id}`)).status).toBe(200);
  expect((await service.request('GET', '/health/ready')).status).toBe(200);
  expect((await projection()).error).toBeNull();
}

test.each<[string, Omit<ForeignEvent, 'stream'>]>([
  ['no metadata', { type: 'AuthorAdded', data: { name: 'A' }, metadata: undefined }],
  ['metadata that is no object', { type: 'AuthorAdded', data: { name: 'A' }, metadata: [1] }],
  ['no actor', { type: 'AuthorAdded', data: { name: 'A' }, metadata: { schemaVersion: 1 } }],
  [
    'an actor with U+0000',
    { type: 'AuthorAdded', data: { name: 'A' }, metadata: { ...metadata, actor: 'a\0' } },
  ],
  [
    'an actor that is a number',
    { type: 'AuthorAdded', data: { name: 'A' }, metadata: { ...metadata, actor: 5 } },
  ],
  ['no data', { type: 'AuthorAdded', data: {}, metadata }],
  ['data that is no object', { type: 'AuthorAdded', data: ['A'], metadata }],
  ['bytes', { type: 'AuthorAdded', data: undefined, metadata }],
  ['a name with U+0000', { type: 'AuthorAdded', data: { name: 'a\0' }, metadata }],
  ['half a surrogate pair', { type: 'AuthorAdded', data: { name: 'a\ud800' }, metadata }],
  ['a type of a newer version', { type: 'AuthorPseudonymed', data: { name: 'A' }, metadata }],
  [
    'the first time “yesterday”',
    { type: 'AuthorAdded', data: { name: 'A' }, metadata: { ...metadata, recordedAt: 'yesterday' } },
  ],
  [
    'a first time in the year 12000',
    {
      type: 'AuthorAdded',
      data: { name: 'A' },
      metadata: { ...metadata, recordedAt: '+012000-01-01T00:00:00.000Z' },
    },
  ],
])('an event with %s is parked, everywhere alike, and a command on it says why', async (_, event) => {
  const id = randomUUID();
  const before = (await projection()).parked;
  await writePastColophon(service.env, [{ stream: `author-${id}`, ...event }]);
  await works();
  expect((await projection()).parked).toBe(before + 1);
  const renamed = await service.request('PATCH', `/authors/${id}`, { body: { name: 'B' } });
  expect(renamed).toMatchObject({
    status: 409,
    body: { type: 'urn:colophon:problem:stream-not-understood' },
  });
  expect((await service.request('GET', `/audit/authors/${id}`)).body.events).toHaveLength(1);
  expect((await service.request('GET', '/audit/events?limit=1000')).status).toBe(200);
});

test('a stream that goes on past an event of a newer version waits, and its row is stale', async () => {
  const { id } = (await service.request('POST', '/authors', { body: { name: 'A' } })).body;
  await writePastColophon(service.env, [
    { stream: `author-${id}`, type: 'AuthorPseudonymed', data: { name: 'P' }, metadata },
  ]);
  await works();
  expect(await get(`/authors/${id}`)).toMatchObject({ name: 'A', stale: true });
  expect((await service.request('PATCH', `/authors/${id}`, { body: { name: 'B' } })).status).toBe(409);
  const line = `{"type":"author","key":"k","name":"K"}\n`;
  const imported = await service.request('POST', '/imports', {
    raw: line,
    headers: { 'content-type': 'application/x-ndjson' },
  });
  expect(JSON.parse(imported.text)).toMatchObject({ status: 'added' });
});

test('a book of an author whose stream can not be read is removed and restored, and keeps the author', async () => {
  const { id } = (await service.request('POST', '/authors', { body: { name: 'A' } })).body;
  const added = await service.request('POST', '/books', {
    body: { title: 'T', authors: [{ authorId: id }] },
  });
  await writePastColophon(service.env, [
    { stream: `author-${id}`, type: 'AuthorPseudonymed', data: { name: 'P' }, metadata },
  ]);
  const book = `/books/${added.body.id}`;
  expect((await service.request('DELETE', book)).status).toBe(200);
  expect((await service.request('POST', `${book}/restore`)).status).toBe(200);
  await works();
  expect((await get(`${book}?include=authors`)).authors).toMatchObject([{ id }]);
});

const uuids = [1, 2, 3].map((n) => `0190a1b2-0000-7000-8000-00000000000${n}`);
const json = fc.jsonValue({ maxDepth: 2, stringUnit: 'binary' });
const foreign: fc.Arbitrary<ForeignEvent> = fc.record({
  stream: fc.oneof(
    fc.constantFrom(...uuids.map((id) => `author-${id}`), ...uuids.map((id) => `book-${id}`)),
    fc.constantFrom('author-x', 'author-', 'book-1', 'policy-1', 'weird'),
  ),
  type: fc.oneof(
    fc.constantFrom(
      'AuthorAdded',
      'AuthorRenamed',
      'AuthorRemoved',
      'AuthorRestored',
      'AuthorMerged',
      'BookAdded',
      'BookLinked',
    ),
    fc.constantFrom(
      'BookRestored',
      'AuthorsReordered',
      'BookUnlinked',
      'BookRelinked',
      'BookRemoved',
      'constructor',
      'Ünknown',
    ),
  ),
  data: fc.oneof(
    json,
    fc.constant(undefined),
    fc.record({ name: fc.oneof(fc.constant('A'), json), title: fc.oneof(fc.constant('T'), json) }),
    fc.record({
      authorId: fc.oneof(fc.constantFrom(...uuids), json),
      position: fc.oneof(fc.integer({ min: -1, max: 3 }), json),
      roles: fc.oneof(fc.constant(['author']), json),
      creditedAs: fc.oneof(fc.constant(null), json),
      from: fc.oneof(fc.constantFrom(...uuids), json),
      into: fc.oneof(fc.constantFrom(...uuids), json),
    }),
    fc.record({ title: fc.constant('T'), authors: json, authorIds: json }),
  ),
  metadata: fc.oneof(
    { weight: 3, arbitrary: fc.constant(metadata) },
    fc.record({ actor: json, schemaVersion: json, recordedAt: json }, { requiredKeys: [] }),
    fc.constant(undefined),
  ),
});

test('arbitrary events stop nothing, and rebuild and verify agree with the live tables', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now());
  const events = fc.sample(foreign, { numRuns: 150, seed });
  try {
    const kept = (await service.request('POST', '/authors', { body: { name: 'Kept' } })).body.id;
    await writePastColophon(service.env, events);
    await works();
    const { parked } = await projection();
    const live = await readTables(service.database.url, 'catalogue');
    expect((await colophon('verify')).output).toContain('the tables match');
    expect(await colophon('rebuild', '--allow-parked')).toMatchObject({ code: 0 });
    await works();
    const rebuilt = await readTables(service.database.url, 'catalogue');
    expect((await projection()).parked).toBe(parked);
    expect(rebuilt.books).toEqual(live.books);
    expect(rebuilt.links).toEqual(live.links);
    expect((await get(`/authors/${kept}`)).name).toBe('Kept');
    expect((await colophon('replay')).code).toBe(0);
    for (const { stream } of events.slice(0, 20)) {
      const [kind, id] = [stream.slice(0, stream.indexOf('-')), stream.slice(stream.indexOf('-') + 1)];
      if (kind !== 'author' && kind !== 'book') continue;
      for (const path of [`/audit/${kind}s/${id}`, `/audit/${kind}s/${id}/row`, `/${kind}s/${id}`])
        expect((await service.request('GET', path)).status).not.toBe(500);
      const body = kind === 'author' ? { name: 'N' } : { title: 'N' };
      const patched = await service.request('PATCH', `/${kind}s/${id}`, { body });
      expect(patched.status).toBeLessThan(500);
    }
    await works();
  } catch (error) {
    throw new Error(`SEED=${seed}`, { cause: error });
  }
});
