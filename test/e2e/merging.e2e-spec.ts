import { randomUUID } from 'node:crypto';
import { createService, type Answer, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await createService();
});
afterAll(() => service.stop());

const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  service.request('POST', path, { body, headers });
const addAuthor = async (name = 'Jane Austen') => (await post('/authors', { name })).body.id as string;
const addBook = async (title: string, ...authors: object[]) =>
  (await post('/books', { title, authors })).body.id as string;
const merge = (id: string, into: string, headers?: Record<string, string>) =>
  post(`/authors/${id}/merge`, { into }, headers);
const headOf = async () => (await service.request('GET', '/projections')).body.items[0].head as string;
const problem = (status: number, type: string, rest: object = {}) => ({
  status,
  body: { type: `urn:colophon:problem:${type}`, ...rest },
});
const byId = <Item extends { id: string }>(items: Item[]): Item[] =>
  items.toSorted((a, b) => (a.id < b.id ? -1 : 1));

/** All items of a dry run, read in pages of two. */
async function preview(method: string, path: string, body?: unknown): Promise<any[]> {
  const items: any[] = [];
  for (let after = ''; ;) {
    const address = `${path}${path.includes('?') ? '&' : '?'}dryRun=true&limit=2${after}`;
    const page = await service.request(method, address, { body });
    expect(page).toMatchObject({ status: 200, body: { dryRun: true } });
    expect(page.body.items.length).toBeLessThanOrEqual(2);
    items.push(...page.body.items);
    if (page.body.next === null) return items;
    after = `&after=${page.body.next}`;
  }
}

test('a dry run of a removal lists every book, in pages, and writes nothing', async () => {
  const [author, other] = [await addAuthor(), await addAuthor()];
  const shared = await addBook('Shared', { authorId: other }, { authorId: author });
  const own = [await addBook('One', { authorId: author }), await addBook('Two', { authorId: author })];
  await service.request('PATCH', `/books/${own[0]}`, { body: { title: 'First' } });
  const removed = await addBook('Removed', { authorId: author });
  await service.request('DELETE', `/books/${removed}`);
  const head = await headOf();
  const run = (books: string) => preview('DELETE', `/authors/${author}?books=${books}`);
  const item = (id: string | undefined, title: string, does: string) => ({ id: id ?? '', title, does });
  const listed = (sole: string, rest: string) =>
    byId([item(own[0], 'First', sole), item(own[1], 'Two', sole), item(shared, 'Shared', rest)]);
  expect(await run('unlink')).toEqual(listed('unlinked', 'unlinked'));
  expect(await run('remove-sole-authored')).toEqual(listed('removed', 'unlinked'));
  expect(await run('remove-all')).toEqual(listed('removed', 'removed'));

  const refusals: [string, ReturnType<typeof problem>][] = [
    [`/authors/${author}?dryRun=true`, problem(409, 'author-has-books')],
    [`/authors/${randomUUID()}?dryRun=true&books=unlink`, problem(404, 'author-not-found')],
    [`/authors/${author}?dryRun=true&books=unlink&after=x`, problem(400, 'invalid-request')],
    [`/authors/${author}?dryRun=true&books=unlink&limit=101`, problem(400, 'invalid-request')],
    [`/authors/${author}?books=some`, problem(400, 'invalid-request')],
  ];
  for (const [path, refusal] of refusals)
    expect(await service.request('DELETE', path)).toMatchObject(refusal);
  const outdated = { headers: { 'if-match': '"7"' } };
  const path = `/authors/${author}?dryRun=true&books=unlink`;
  expect(await service.request('DELETE', path, outdated)).toMatchObject(problem(412, 'revision-mismatch'));
  expect(await headOf()).toBe(head);
});

test('a removal says what happens to the books, and where to see whether it has ended', async () => {
  const author = await addAuthor();
  await addBook('Gone', { authorId: author });
  const remove = (prefer: string) =>
    service.request('DELETE', `/authors/${author}?books=remove-all`, {
      headers: { 'idempotency-key': `remove ${author}`, 'x-correlation-id': 'letter-18', prefer },
    });
  const removed = await remove('wait=20');
  expect(removed).toMatchObject({ status: 200, body: { id: author, revision: '1', change: 'letter-18' } });
  expect(Object.keys(removed.body)).toEqual(['id', 'revision', 'position', 'change', 'underWay']);
  expect(removed.headers.get('preference-applied')).toBe('wait=20');
  const again = await remove('wait=soon');
  expect(again.body).toEqual({ ...removed.body, underWay: expect.any(Boolean) });
  expect(again.headers.get('preference-applied')).toBeNull();
  const { events } = (await service.request('GET', `/audit/authors/${author}`)).body;
  const own = events.filter((event: any) => event.stream === `author-${author}`);
  expect(own.at(-1)).toMatchObject({ type: 'AuthorRemoved', data: { books: 'remove-all' } });
  // Without a key, the answer tells of the removal that was.
  const twice = await service.request('DELETE', `/authors/${author}?books=unlink`);
  expect(twice.body).toEqual({ ...removed.body, underWay: expect.any(Boolean) });
  expect(await preview('DELETE', `/authors/${author}?books=unlink`)).toEqual([]);

  const plain = await addAuthor();
  expect(await service.request('DELETE', `/authors/${plain}`)).toMatchObject({
    status: 200,
    body: { underWay: false },
  });
});

test('a dry run of a merge lists the links that would result', async () => {
  const [old, survivor, other] = [await addAuthor('Old'), await addAuthor('New'), await addAuthor('Other')];
  const printed = await addBook('Printed', { authorId: other }, { authorId: old, creditedAs: 'O.' });
  const plain = await addBook('Plain', { authorId: old, roles: ['editor'] });
  const both = await addBook(
    'Both',
    { authorId: old, roles: ['translator'] },
    { authorId: other },
    { authorId: survivor, creditedAs: 'N.' },
  );
  const head = await headOf();
  const path = `/authors/${old}/merge`;
  expect(await preview('POST', path, { into: survivor })).toEqual(
    byId([
      {
        id: printed,
        title: 'Printed',
        does: 'relinked',
        position: 2,
        roles: ['author'],
        creditedAs: 'O.',
      },
      { id: plain, title: 'Plain', does: 'relinked', position: 1, roles: ['editor'], creditedAs: 'Old' },
      {
        id: both,
        title: 'Both',
        does: 'relinked',
        position: 1,
        roles: ['author', 'translator'],
        creditedAs: 'N.',
      },
    ]),
  );
  for (const [into, refusal] of [
    [old, problem(422, 'merged-into-itself')],
    [randomUUID(), problem(404, 'author-not-found', { errors: [{ pointer: '/into' }] })],
  ] as const)
    for (const query of ['?dryRun=true', ''])
      expect(await post(`${path}${query}`, { into })).toMatchObject(refusal);
  expect(await headOf()).toBe(head);
});

test.each(['unlink', 'remove-sole-authored', 'remove-all', 'merge'])(
  'what the dry run of a change of all books (%s) said is what policies do',
  async (mode) => {
    const [a, b, c] = [await addAuthor('A'), await addAuthor('B'), await addAuthor('C')];
    const lists = [[a], [a, b], [b, a, c], [c, b, a], [b]];
    const books = await Promise.all(
      [...lists, ...lists].map((ids, n) => {
        const credited = (place: number) =>
          n % 3 === place && { creditedAs: `Credit ${n}`, roles: ['editor'] };
        return addBook(`Book ${n}`, ...ids.map((authorId, place) => ({ authorId, ...credited(place) })));
      }),
    );
    await service.request('DELETE', `/books/${books[0]}`);
    const [method, path, body] =
      mode === 'merge'
        ? ['POST', `/authors/${a}/merge`, { into: b }]
        : ['DELETE', `/authors/${a}?books=${mode}`, undefined];
    const said = await preview(method, path, body);
    expect(said).toHaveLength(7);
    const done = await service.request(method, path, { body, headers: { prefer: 'wait=30' } });
    expect(done.body).toMatchObject({ underWay: false });
    const headers = { 'min-position': await headOf() };
    const feed = await service.request('GET', `/audit/events?change=${done.body.change}`, { headers });
    const does: Record<string, string> = {
      BookUnlinked: 'unlinked',
      BookRemoved: 'removed',
      BookRelinked: 'relinked',
    };
    const effects = feed.body.items
      .filter((event: any) => event.type in does)
      .map(({ stream, type, data: { position, roles, creditedAs } }: any) => {
        const id = stream.slice('book-'.length) as string;
        return { id, title: `Book ${books.indexOf(id)}`, does: does[type], position, roles, creditedAs };
      });
    expect(byId(effects)).toEqual(said);
  },
);

test('commands on a merged author are refused, and name the last survivor', async () => {
  const [a, b, c] = [await addAuthor('A'), await addAuthor('B'), await addAuthor('C')];
  const headers = { 'idempotency-key': `merge ${a}`, prefer: 'wait=20' };
  const merged = await merge(a, b, headers);
  expect(merged).toMatchObject({ status: 200, body: { id: a, revision: '1' } });
  expect(Object.keys(merged.body)).toEqual(['id', 'revision', 'position', 'change', 'underWay']);
  expect(merged.headers.get('preference-applied')).toBe('wait=20');
  expect((await merge(a, b, headers)).body).toEqual({ ...merged.body, underWay: expect.any(Boolean) });
  expect((await merge(b, c)).status).toBe(200);
  expect((await merge(a, c)).body).toEqual({ ...merged.body, underWay: expect.any(Boolean) });
  const redirected = [{ from: b, to: c }];
  expect((await merge(a, b)).body).toEqual({ ...merged.body, underWay: expect.any(Boolean), redirected });
  expect((await merge(a, b, headers)).body).not.toHaveProperty('redirected');
  expect((await post(`/authors/${a}/merge?dryRun=true`, { into: b })).body).toEqual({
    dryRun: true,
    items: [],
    next: null,
    redirected,
  });
  const refusal = problem(409, 'author-merged', { survivor: c, detail: expect.stringContaining(c) });
  const rename = () =>
    service.request('PATCH', `/authors/${a}`, {
      body: { name: 'Other' },
      headers: { 'idempotency-key': `rename ${a}` },
    });
  const refused: Answer[] = [
    await rename(),
    // From what is remembered of the first.
    await rename(),
    await service.request('DELETE', `/authors/${a}?books=unlink`),
    await service.request('DELETE', `/authors/${a}?books=unlink&dryRun=true`),
    await post(`/authors/${a}/restore`),
    await merge(a, await addAuthor('D')),
  ];
  for (const answer of refused) expect(answer).toMatchObject(refusal);
});

test('two authors who are merged into each other at once end as one', async () => {
  const [a, b] = [await addAuthor('A'), await addAuthor('B')];
  const answers = await Promise.all([merge(a, b), merge(b, a)]);
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 422]);
});

test('a command that names a merged author takes the last survivor, and says so', async () => {
  const [old, between, survivor, other] = [
    await addAuthor('Old'),
    await addAuthor('Between'),
    await addAuthor('New'),
    await addAuthor('Other'),
  ];
  await merge(old, between);
  await merge(between, survivor);
  const redirected = [{ from: old, to: survivor }];
  const late = await addAuthor('Late');
  const key = { 'idempotency-key': `merge ${late}` };
  const said = await merge(late, between, key);
  expect(said.body).toMatchObject({ redirected: [{ from: between, to: survivor }] });
  expect((await merge(late, between, key)).body).toEqual({ ...said.body, underWay: expect.any(Boolean) });
  const keyed = (method: string, path: string, body?: unknown) =>
    service.request(method, path, { body, headers: { 'idempotency-key': `${method} ${path}` } });
  const linksOf = async ({ body: { id, position } }: Answer) => {
    const headers = { 'min-position': position };
    const { body } = await service.request('GET', `/books/${id}/authors`, { headers });
    return body.items.map((item: any) => [item.id, item.position, item.roles.join(), item.creditedAs]);
  };

  const authors = [{ authorId: other }, { authorId: old, roles: ['editor'] }, { authorId: survivor }];
  const added = await keyed('POST', '/books', { title: 'Redirected', authors });
  expect(added).toMatchObject({ status: 201, body: { redirected } });
  expect(await linksOf(added)).toEqual([
    [other, 1, 'author', null],
    [survivor, 2, 'author,editor', null],
  ]);
  expect((await keyed('POST', '/books', { title: 'Redirected', authors })).text).toBe(added.text);

  const book = `/books/${await addBook('Linked', { authorId: other })}`;
  const put = await keyed('PUT', `${book}/authors/${old}`, { position: 1 });
  expect(put).toMatchObject({ status: 200, body: { redirected } });
  expect(await linksOf(put)).toEqual([
    [survivor, 1, 'author', 'Old'],
    [other, 2, 'author', null],
  ]);
  const order = { authorIds: [other, old] };
  const ordered = await keyed('PUT', `${book}/authors`, order);
  expect(ordered).toMatchObject({ status: 200, body: { redirected } });
  expect(await linksOf(ordered)).toEqual([
    [other, 1, 'author', null],
    [survivor, 2, 'author', 'Old'],
  ]);
  const unlinked = await keyed('DELETE', `${book}/authors/${old}`);
  expect(unlinked).toMatchObject({ status: 200, body: { redirected } });
  expect(await linksOf(unlinked)).toEqual([[other, 1, 'author', null]]);
  // The answers are those of the first time, although the book has other links now.
  expect((await keyed('PUT', `${book}/authors/${old}`, { position: 1 })).text).toBe(put.text);
  expect((await keyed('PUT', `${book}/authors`, order)).text).toBe(ordered.text);
  expect((await keyed('DELETE', `${book}/authors/${old}`)).text).toBe(unlinked.text);
  // Nothing to do, and remembered so.
  const nothing = () =>
    service.request('DELETE', `${book}/authors/${between}`, {
      headers: { 'idempotency-key': `again ${book}` },
    });
  const first = await nothing();
  expect(first.body).toMatchObject({ redirected: [{ from: between, to: survivor }] });
  await service.request('PUT', `${book}/authors/${between}`);
  expect((await nothing()).text).toBe(first.text);
});

test('a restored book says whose survivor takes over', async () => {
  const [old, survivor] = [await addAuthor('Old'), await addAuthor('New')];
  const book = await addBook('Restored', { authorId: old });
  await service.request('DELETE', `/books/${book}`);
  await merge(old, survivor);
  expect((await post(`/books/${book}/restore`)).body).toMatchObject({
    waitingAuthors: [{ id: old, reason: 'author-merged' }],
  });
});

test('lines of an import that name a merged author take the last survivor, and say so', async () => {
  const keys = { old: randomUUID(), survivor: randomUUID(), book: randomUUID(), other: randomUUID() };
  const run = async (query: string, ...lines: object[]) =>
    (
      await service.request('POST', `/imports${query}`, {
        raw: lines.map((line) => JSON.stringify(line)).join('\n'),
        headers: { 'content-type': 'application/x-ndjson' },
      })
    ).text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  const author = (key: string, name: string) => ({ type: 'author', key, name });
  const [old, survivor] = await run('', author(keys.old, 'Old'), author(keys.survivor, 'New'));
  await merge(old.id, survivor.id);
  const redirected = [{ from: old.id, to: survivor.id }];
  const lines = [
    author(keys.old, 'Older'),
    { type: 'book', key: keys.book, title: 'Redirected', authors: [{ author: keys.old }] },
    { type: 'book', key: keys.book, title: 'Redirected', authors: [{ author: keys.survivor }] },
  ];
  const said = await run('?dryRun=true', ...lines);
  expect(said).toMatchObject([
    { status: 'unchanged', redirected },
    { status: 'added', redirected },
    { status: 'changed', changes: ['BookLinkChanged'] },
  ]);
  const done = await run('', ...lines);
  expect(done).toEqual(said.map(({ changes: _, ...result }) => result));
  expect(done[2]).not.toHaveProperty('redirected');
  expect((await run('', ...lines.slice(0, 2)))[0]).toMatchObject({ status: 'unchanged', redirected });
  const found = await service.request('GET', `/audit/authors/${survivor.id}`);
  expect(found.body.events.map((event: any) => event.type)).not.toContain('AuthorRenamed');

  await service.request('DELETE', `/authors/${survivor.id}?books=unlink`);
  expect(await run('', { ...lines[1], key: keys.other })).toMatchObject([
    { status: 'failed', error: { rule: 'author-removed' } },
  ]);
});
