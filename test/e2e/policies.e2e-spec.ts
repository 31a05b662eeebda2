import { setTimeout } from 'node:timers/promises';
import { start } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await createService();
});
afterAll(() => service.stop());

const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  service.request('POST', path, { ...(body !== undefined && { body }), headers });
const get = (path: string) => service.request('GET', path);
const waiting = { prefer: 'wait=30' };

async function added(path: string, body: object, headers: Record<string, string> = {}): Promise<string> {
  const answer = await post(path, body, headers);
  expect(answer.status).toBe(201);
  return answer.body.id as string;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await setTimeout(20);
}

/** The events of a change, the newest first. */
async function eventsOf(change: string): Promise<{ stream: string; type: string }[]> {
  const { body } = await get(`/changes/${change}?limit=1000`);
  return body.events as { stream: string; type: string }[];
}

test('a merge ends while the caller waits, is reverted, and says so', async () => {
  const [old, into] = [await added('/authors', { name: 'Old' }), await added('/authors', { name: 'Into' })];
  const book = await added('/books', { title: 'Title', authors: [{ authorId: old }] });
  const merged = await post(`/authors/${old}/merge`, { into }, { ...waiting, reason: 'same' });
  expect(merged.headers.get('preference-applied')).toBe('wait=30');
  expect(merged.body).toMatchObject({ id: old, underWay: false });
  const { change } = merged.body;
  expect((await eventsOf(change)).map(({ type }) => type)).toEqual(['BookRelinked', 'AuthorMerged']);

  const preview = await post(`/changes/${change}/revert?dryRun=true`);
  expect(preview.body).toMatchObject({
    dryRun: true,
    items: [
      { stream: `author-${old}`, events: [{ type: 'AuthorRestored' }], leftAlone: [] },
      { stream: `book-${book}`, events: [{ type: 'BookRelinked', data: { authorId: old } }] },
    ],
    next: null,
  });
  await service.request('PUT', `/books/${book}/authors/${into}`, {
    body: { creditedAs: 'Mine' },
    headers: { 'x-actor': 'bob' },
  });

  const keyed = { ...waiting, 'idempotency-key': 'once' };
  const reverted = await post(`/changes/${change}/revert`, undefined, keyed);
  expect(reverted.body).toMatchObject({ id: change, underWay: false });
  expect((await post(`/changes/${change}/revert`, undefined, keyed)).body).toEqual(reverted.body);
  const revert = reverted.body.change;
  expect((await get(`/changes/${change}`)).body).toMatchObject({ revertedBy: revert, underWay: [] });
  expect((await get(`/changes/${revert}`)).body).toMatchObject({
    reverts: change,
    leftAlone: [
      { stream: `book-${book}`, why: 'changed-since', since: { actor: 'bob', type: 'BookLinkChanged' } },
      { stream: `book-${book}`, why: 'changed-since' },
    ],
    moreLeftAlone: 0,
  });

  const refused = await Promise.all([
    post(`/changes/${change}/revert`),
    post('/changes/none/revert'),
    post(`/changes/${revert}/revert`, undefined, { 'x-correlation-id': revert }),
  ]);
  expect(refused.map(({ status, body }) => [status, body.type.split(':').at(-1)])).toEqual([
    [409, 'change-already-reverted'],
    [404, 'change-not-found'],
    [422, 'revert-of-itself'],
  ]);
});

test('a revert of an import goes on after kill -9, and does everything once', async () => {
  const lines = Array.from({ length: 300 }, (_, n) =>
    n < 50
      ? { type: 'author', key: `kill:${n}`, name: `Author ${n}` }
      : { type: 'book', key: `kill:${n}`, title: `Book ${n}`, authors: [{ author: `kill:${n % 50}` }] },
  );
  const imported = await service.request('POST', '/imports', {
    raw: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    headers: { 'content-type': 'application/x-ndjson', 'x-correlation-id': 'an import' },
  });
  expect(imported.text).not.toMatch(/failed/);
  const reverting = await post('/changes/an%20import/revert');
  const { change } = reverting.body;
  await until(async () => (await eventsOf(change)).length > 1);
  await service.restart('SIGKILL');
  await until(async () => {
    const { body } = await get(`/changes/${change}`);
    return body.underWay?.length === 0 && (await get('/policies')).body.open === 0;
  });
  const events = (await eventsOf(change)).filter(({ type }) => type !== 'ChangeReverted');
  expect(events).toHaveLength(300);
  expect(new Set(events.map(({ stream }) => stream)).size).toBe(300);
  expect((await get('/policies')).body).toMatchObject({
    error: null,
    tasks: [],
    parked: 0,
    parkedStreams: [],
  });

  // The command line undoes the undoing. The service is the leader.
  const program = start('dist/src/cli.js', ['revert', change, '--actor', 'zoe'], service.env);
  expect([await program.ended, program.output()]).toEqual([
    0,
    expect.stringMatching(/^reverted, as change \S+; 0 facts left alone\n$/),
  ]);
  expect((await get('/changes/an%20import')).body).toMatchObject({ revertedBy: null });
});
