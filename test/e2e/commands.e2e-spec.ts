import { randomUUID } from 'node:crypto';
import { TooMuchContention } from '../../src/commands/keyed-queue.js';
import { importLines } from '../support/catalogue.js';
import { startService } from '../support/process.js';
import { createService, send, type Answer, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await createService();
});
afterAll(() => service.stop());

const post = (path: string, body?: unknown, headers?: Record<string, string>) =>
  service.request('POST', path, { body, ...(headers && { headers }) });
const addAuthor = async (name = 'Jane Austen') => (await post('/authors', { name })).body.id as string;
const addBook = async (title = 'Emma', authorIds: string[] = []) =>
  (await post('/books', { title, authors: authorIds.map((authorId) => ({ authorId })) })).body.id as string;
const addAuthors = async (count: number) =>
  Object.values(
    await importLines(
      service,
      Array.from({ length: count }, () => ({ type: 'author', key: randomUUID(), name: 'Many' })),
    ),
  );
const eventsOf = async (path: string) =>
  (await service.request('GET', `/audit/${path}`)).body.events.map((event: any) => event.type) as string[];

test('a command becomes an event, a row and an answer', async () => {
  const added = await post('/authors', { name: '  Jane\r\nAusten ' });
  expect(added.status).toBe(201);
  const { id, revision, position } = added.body;
  expect(Object.keys(added.body)).toEqual(['id', 'revision', 'position']);
  expect(revision).toBe('0');
  expect(added.headers.get('position')).toBe(position);
  expect(added.headers.get('etag')).toBe('"0"');
  expect(added.headers.get('location')).toBe(`/authors/${id}`);
  const found = await service.request('GET', `/authors/${id}`, { headers: { 'min-position': position } });
  expect(found.body).toEqual({
    id,
    name: 'Jane Austen',
    revision: '0',
    createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
    updatedAt: found.body.createdAt,
  });
});

test('an author is added under the id given, once', async () => {
  const id = randomUUID().toUpperCase();
  const added = await post('/authors', { id, name: 'Émile Zola' });
  expect(added).toMatchObject({ status: 201, body: { id: id.toLowerCase() } });
  const again = await post('/authors', { id, name: 'Émile Zola' });
  expect(again).toMatchObject({ status: 409, body: { type: 'urn:colophon:problem:author-already-exists' } });
});

test('an author is renamed, removed and restored', async () => {
  const id = await addAuthor('Mary Ann Evans');
  const renamed = await service.request('PATCH', `/authors/${id}`, { body: { name: 'George Eliot' } });
  expect(renamed).toMatchObject({ status: 200, body: { id, revision: '1' } });
  expect(renamed.headers.get('location')).toBeNull();
  expect(await service.request('DELETE', `/authors/${id}`)).toMatchObject({
    status: 200,
    body: { revision: '2' },
  });
  const gone = await service.request('PATCH', `/authors/${id}`, { body: { name: 'G. Eliot' } });
  expect(gone).toMatchObject({ status: 409, body: { type: 'urn:colophon:problem:author-removed' } });
  const restored = await post(`/authors/${id}/restore`);
  expect(restored).toMatchObject({ status: 200, body: { revision: '3' } });
  const headers = { 'min-position': restored.body.position };
  expect((await service.request('GET', `/authors/${id}`, { headers })).body).toMatchObject({
    name: 'George Eliot',
    revision: '3',
  });
  expect(await eventsOf(`authors/${id}`)).toEqual([
    'AuthorAdded',
    'AuthorRenamed',
    'AuthorRemoved',
    'AuthorRestored',
  ]);
});

test('a command that finds everything as it should be answers with what is there and writes nothing', async () => {
  const id = await addAuthor('Same');
  const same = await service.request('PATCH', `/authors/${id}`, { body: { name: 'Same' } });
  expect(same).toMatchObject({ status: 200, body: { id, revision: '0' } });
  expect(await eventsOf(`authors/${id}`)).toEqual(['AuthorAdded']);
});

test('an author with books is not removed unless the caller says what happens to the books', async () => {
  const id = await addAuthor();
  const book = await addBook('Emma', [id]);
  for (const query of ['', '?books=refuse'])
    expect(await service.request('DELETE', `/authors/${id}${query}`)).toMatchObject({
      status: 409,
      body: { type: 'urn:colophon:problem:author-has-books' },
    });
  await service.request('DELETE', `/books/${book}/authors/${id}`);
  expect(await service.request('DELETE', `/authors/${id}`)).toMatchObject({ status: 200 });
});

test('a book enters with its authors in one append, or not at all', async () => {
  const [pratchett, gaiman] = [await addAuthor('Terry Pratchett'), await addAuthor('Neil Gaiman')];
  const added = await post('/books', {
    title: 'Good Omens',
    authors: [
      { authorId: pratchett },
      { authorId: gaiman, roles: ['editor', 'author', 'editor'], creditedAs: 'N. Gaiman' },
    ],
  });
  expect(added).toMatchObject({ status: 201, body: { revision: '2' } });
  const headers = { 'min-position': added.body.position };
  const path = `/books/${added.body.id}?include=authors`;
  expect((await service.request('GET', path, { headers })).body.authors).toEqual([
    { id: pratchett, name: 'Terry Pratchett', position: 1, roles: ['author'], creditedAs: null },
    { id: gaiman, name: 'Neil Gaiman', position: 2, roles: ['author', 'editor'], creditedAs: 'N. Gaiman' },
  ]);

  const id = randomUUID();
  const refused = await post('/books', {
    id,
    title: 'Bad',
    authors: [{ authorId: pratchett }, { authorId: randomUUID() }],
  });
  expect(refused).toMatchObject({
    status: 422,
    body: {
      type: 'urn:colophon:problem:author-not-found',
      errors: [{ pointer: '/authors/1/authorId', rule: 'author-not-found' }],
    },
  });
  expect((await service.request('GET', `/audit/books/${id}`)).status).toBe(404);
});

test('links are made, changed, moved and ended', async () => {
  const [a, b, c] = [await addAuthor('A'), await addAuthor('B'), await addAuthor('C')];
  const book = await addBook('Links', [a]);
  const put = (author: string, body?: unknown) =>
    service.request('PUT', `/books/${book}/authors/${author}`, { body });
  const list = async (position: string) => {
    const headers = { 'min-position': position };
    const { body } = await service.request('GET', `/books/${book}/authors`, { headers });
    return body.items.map(({ id, position, roles, creditedAs }: any) => [id, position, roles, creditedAs]);
  };
  expect(await put(b)).toMatchObject({ status: 200, body: { id: book, revision: '2' } });
  expect(await put(b)).toMatchObject({ status: 200, body: { revision: '2' } });
  await put(c, { position: 1, roles: ['translator'] });
  const changed = await put(b, { position: 1, creditedAs: 'Bea' });
  expect(await list(changed.body.position)).toEqual([
    [b, 1, ['author'], 'Bea'],
    [c, 2, ['translator'], null],
    [a, 3, ['author'], null],
  ]);
  expect(await put(a, { position: 4 })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/position', rule: 'position-out-of-range' }] },
  });
  const order = { authorIds: [a, b, c] };
  const reordered = await service.request('PUT', `/books/${book}/authors`, { body: order });
  expect(reordered.status).toBe(200);
  const short = await service.request('PUT', `/books/${book}/authors`, { body: { authorIds: [a, b] } });
  expect(short).toMatchObject({ status: 422, body: { type: 'urn:colophon:problem:not-the-books-authors' } });
  const unlinked = await service.request('DELETE', `/books/${book}/authors/${b}`);
  expect(await list(unlinked.body.position)).toEqual([
    [a, 1, ['author'], null],
    [c, 2, ['translator'], null],
  ]);
  expect(await put(randomUUID())).toMatchObject({ status: 404 });
});

test('a book is retitled, removed and restored with the links it had', async () => {
  const author = await addAuthor();
  const book = await addBook('Sense', [author]);
  await service.request('PATCH', `/books/${book}`, { body: { title: 'Sense and Sensibility' } });
  const removed = await service.request('DELETE', `/books/${book}`);
  const headers = { 'min-position': removed.body.position };
  expect(await service.request('GET', `/books/${book}`, { headers })).toMatchObject({
    status: 410,
    body: { type: 'urn:colophon:problem:book-removed' },
  });
  expect((await service.request('GET', `/authors/${author}/books`)).body.items).toEqual([]);
  const { body } = await post(`/books/${book}/restore`);
  const found = await service.request('GET', `/books/${book}?include=authors`, {
    headers: { 'min-position': body.position },
  });
  expect(found.body).toMatchObject({
    title: 'Sense and Sensibility',
    authors: [{ id: author, position: 1 }],
  });
});

test('a restored book has all its links, and those to removed authors wait and are shown', async () => {
  const [a, b, c] = [await addAuthor('A'), await addAuthor('B'), await addAuthor('C')];
  const title = `Waiting ${randomUUID()}`;
  const authors = [
    { authorId: a },
    { authorId: b, roles: ['editor'], creditedAs: 'B.' },
    { authorId: c, creditedAs: 'Cee' },
  ];
  const book = (await post('/books', { title, authors })).body.id as string;
  await service.request('DELETE', `/books/${book}`);
  await service.request('DELETE', `/authors/${b}`);
  const restore = () => post(`/books/${book}/restore`, undefined, { 'idempotency-key': `restore ${book}` });
  const restored = await restore();
  expect(restored).toMatchObject({
    status: 200,
    body: { id: book, waitingAuthors: [{ id: b, reason: 'author-removed' }] },
  });
  const get = async (path: string, answer: Answer) =>
    (await service.request('GET', path, { headers: { 'min-position': answer.body.position } })).body;
  const waiting = { id: b, position: 2, roles: ['editor'], creditedAs: 'B.' };
  const shown = await get(`/books/${book}?include=authors`, restored);
  expect(shown).toMatchObject({
    authors: [
      { id: a, position: 1 },
      { id: c, position: 3 },
    ],
    waitingAuthors: [waiting],
  });
  expect((await get(`/books?include=authors&search=${encodeURIComponent(title)}`, restored)).items).toEqual([
    shown,
  ]);
  expect(await get(`/books/${book}?include=authors&asOf=${restored.body.position}`, restored)).toEqual(shown);
  const { items, waitingAuthors, next } = await get(`/books/${book}/authors`, restored);
  expect({ authors: items, waitingAuthors, next }).toMatchObject({
    authors: shown.authors,
    waitingAuthors: [waiting],
    next: null,
  });
  const first = await get(`/books/${book}/authors?limit=1`, restored);
  expect(first).toEqual({ items: [shown.authors[0]], next: expect.any(String) });
  const second = await get(`/books/${book}/authors?limit=1&after=${first.next}`, restored);
  expect(second).toEqual({ items: [], waitingAuthors: [waiting], next: expect.any(String) });

  // Everything that works on a book without waiting links works on this one.
  const order = (...authorIds: string[]) =>
    service.request('PUT', `/books/${book}/authors`, { body: { authorIds } });
  for (const refused of [[a], [a, a], [a, c, randomUUID()]])
    expect(await order(...refused)).toMatchObject({
      status: 422,
      body: { type: 'urn:colophon:problem:not-the-books-authors' },
    });
  const ordered = await order(c, a);
  expect(ordered.status).toBe(200);
  expect(await get(`/books/${book}?include=authors`, ordered)).toMatchObject({
    authors: [
      { id: c, position: 1 },
      { id: a, position: 3 },
    ],
    waitingAuthors: [waiting],
  });
  const back = await post(`/authors/${b}/restore`);
  const whole = await get(`/books/${book}?include=authors`, back);
  expect(whole.authors).toMatchObject([{ id: c }, waiting, { id: a }]);
  expect(whole).not.toHaveProperty('waitingAuthors');
  expect((await restore()).text).toBe(restored.text);
  // Again, and in the other order.
  await service.request('DELETE', `/books/${book}`);
  await service.request('DELETE', `/authors/${b}`);
  await post(`/authors/${b}/restore`);
  const again = await post(`/books/${book}/restore`);
  expect(again.body).not.toHaveProperty('waitingAuthors');
  expect((await get(`/books/${book}?include=authors`, again)).authors).toEqual(whole.authors);
  expect(await service.request('DELETE', `/authors/${b}`)).toMatchObject({ status: 409 });
});

test('a waiting link can be ended', async () => {
  const [a, b] = [await addAuthor('A'), await addAuthor('B')];
  const book = await addBook('Ends', [a, b]);
  await service.request('DELETE', `/books/${book}`);
  await service.request('DELETE', `/authors/${a}`);
  await post(`/books/${book}/restore`);
  expect((await service.request('DELETE', `/books/${book}/authors/${a}`)).status).toBe(200);
  const { body } = await post(`/authors/${a}/restore`);
  const headers = { 'min-position': body.position };
  const found = await service.request('GET', `/books/${book}?include=authors`, { headers });
  expect(found.body.authors).toMatchObject([{ id: b, position: 1 }]);
  expect(found.body).not.toHaveProperty('waitingAuthors');
});

test('of many waiting links, an answer names the first', async () => {
  const ids = await addAuthors(102);
  const book = await addBook('Many', ids);
  await service.request('DELETE', `/books/${book}`);
  await Promise.all(ids.map((id) => service.request('DELETE', `/authors/${id}`)));
  const { body } = await post(`/books/${book}/restore`);
  expect(body.waitingAuthors).toEqual(ids.slice(0, 100).map((id) => ({ id, reason: 'author-removed' })));
  expect(body.moreWaitingAuthors).toBe(2);
  const headers = { 'min-position': body.position };
  const found = await service.request('GET', `/books/${book}?include=authors`, { headers });
  expect(found.body).toMatchObject({ authors: [], moreWaitingAuthors: true });
  expect(found.body.waitingAuthors).toHaveLength(100);
  expect((await service.request('PUT', `/books/${book}/authors`, { body: { authorIds: [] } })).status).toBe(
    200,
  );
});

test('a book takes only so many bytes, and can always be restored', async () => {
  const creditedAs = '\u{1F4D6}'.repeat(1_000);
  const ids = await addAuthors(200);
  const authors = ids.slice(0, 185).map((authorId) => ({ authorId, creditedAs }));
  const book = (await post('/books', { title: 'Long', authors })).body.id as string;
  let refused: Answer | undefined;
  for (const id of ids.slice(185)) {
    const answer = await service.request('PUT', `/books/${book}/authors/${id}`, { body: { creditedAs } });
    if (answer.status !== 200) refused = answer;
    if (refused) break;
  }
  expect(refused).toMatchObject({
    status: 422,
    body: { type: 'urn:colophon:problem:book-too-large', detail: expect.stringContaining('786432 bytes') },
  });
  expect((await service.request('DELETE', `/books/${book}`)).status).toBe(200);
  expect((await post(`/books/${book}/restore`)).status).toBe(200);
});

test('an id is taken in every form that PostgreSQL takes, and means the same', async () => {
  const id = '00000000-0000-0000-0000-00000000000a';
  const added = await post('/authors', { id, name: 'Small' });
  expect(added.body.id).toBe(id);
  const headers = { 'min-position': added.body.position };
  const forms = [
    id.toUpperCase(),
    id.replaceAll('-', ''),
    `{${id}}`,
    `{${id.replaceAll('-', '').toUpperCase()}}`,
    '0000-0000-0000-0000-0000-0000-0000-000A',
    '0000000000000000-000000000000000a',
  ];
  for (const form of forms) {
    const path = encodeURIComponent(form);
    expect(await post('/authors', { id: form, name: 'Small' })).toMatchObject({ status: 409 });
    expect((await service.request('GET', `/authors/${path}`, { headers })).body).toMatchObject({ id });
    expect((await service.request('GET', `/audit/authors/${path}`)).body).toMatchObject({ id });
    const book = await post(
      '/books',
      { title: 'T', authors: [{ authorId: form }] },
      { 'idempotency-key': 'forms' },
    );
    expect(book.status).toBe(201);
    // One key, one meaning, one book.
    headers['min-position'] = book.body.position;
    const { body } = await service.request('GET', `/books?author=${path}`, { headers });
    expect(body.items).toMatchObject([{ id: book.body.id }]);
  }
  for (const odd of ['f'.repeat(32), '0'.repeat(32), '018f3c3a-0000-f000-0000-000000000001'])
    expect((await post('/authors', { id: odd, name: 'Odd' })).status).toBe(201);
  for (const wrong of [
    `{${id}`,
    `${id}}`,
    ` ${id}`,
    `${id}-`,
    `${id}0`,
    id.slice(1),
    id.replace('a', 'g'),
    id.replace('-', '--'),
    '000-00000000000000000000000000000a',
    `urn:uuid:${id}`,
    '',
  ]) {
    expect(await post('/authors', { id: wrong, name: 'Wrong' })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '/id', rule: 'uuid' }] },
    });
    if (wrong)
      expect((await service.request('GET', `/books?author=${encodeURIComponent(wrong)}`)).status).toBe(400);
  }
});

test('a command with If-Match is done at that revision only', async () => {
  const id = await addAuthor('First');
  const rename = (name: string, ifMatch: string) =>
    service.request('PATCH', `/authors/${id}`, { body: { name }, headers: { 'if-match': ifMatch } });
  expect(await rename('Second', '"0"')).toMatchObject({ status: 200, body: { revision: '1' } });
  const stale = await rename('Third', '"0"');
  expect(stale).toMatchObject({ status: 412, body: { type: 'urn:colophon:problem:revision-mismatch' } });
  expect(stale.headers.get('etag')).toBe('"1"');
  expect((await rename('Third', '"7", "1"')).status).toBe(200);
  expect((await rename('Fourth', 'W/"2"')).status).toBe(412);
  expect((await rename('Fourth', '*')).status).toBe(200);
  expect((await rename('Fifth', '"03"')).status).toBe(412);
  for (const ifMatch of ['*', '"0"'])
    expect(await post('/authors', { name: 'New' }, { 'if-match': ifMatch })).toMatchObject({
      status: 412,
      body: { type: 'urn:colophon:problem:revision-mismatch' },
    });
  expect(await rename('Fifth', '3')).toMatchObject({
    status: 400,
    body: { errors: [{ pointer: 'header/If-Match', rule: 'entity-tag' }] },
  });
});

test('of commands that meet at one author, none is lost', async () => {
  const id = await addAuthor('Name');
  const names = Array.from({ length: 30 }, (_, n) => `Name ${n}`);
  const answers = await Promise.all(
    names.map((name) => service.request('PATCH', `/authors/${id}`, { body: { name } })),
  );
  expect(new Set(answers.map(({ status, body }) => `${status} ${body.revision}`)).size).toBe(30);
  expect(answers.map(({ status }) => status)).toEqual(names.map(() => 200));
  const { body } = await service.request('GET', `/audit/authors/${id}`);
  expect(body.events.map((event: any) => event.data.name).toSorted()).toEqual(['Name', ...names].toSorted());
});

test('of commands that meet at one author through two instances, each is made once or refused', async () => {
  const id = await addAuthor('Name');
  const other = await startService(service.env);
  const answers: { name: string; answer: Answer }[] = [];
  const caller = async (_: unknown, n: number) => {
    for (let turn = 0; turn < 6; turn += 1) {
      const name = `Name ${n} ${turn}`;
      const url = n % 2 === 0 ? service.url : other.url;
      answers.push({ name, answer: await send(`${url}/authors/${id}`, 'PATCH', { body: { name } }) });
    }
  };
  await Promise.all(Array.from({ length: 32 }, caller));
  other.process.kill('SIGTERM');
  expect(await other.ended).toBe(0);
  const made = answers.filter(({ answer }) => answer.status === 200);
  for (const { answer } of answers)
    if (answer.status !== 200)
      expect(answer).toMatchObject({ status: 503, body: { detail: new TooMuchContention().message } });
  const { body } = await service.request('GET', `/audit/authors/${id}`);
  expect(body.events.map((event: any) => event.data.name).toSorted()).toEqual(
    ['Name', ...made.map(({ name }) => name)].toSorted(),
  );
  // Conflicts end: what one instance does never keeps the other from its turn for long.
  expect(made.length).toBeGreaterThan(answers.length / 2);
});

test('who, why and as part of what travel as headers into the event', async () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const { body } = await post(
    '/authors',
    { name: 'Stanisław Lem' },
    {
      'x-actor': encodeURIComponent('Zoë, clerk'),
      reason: encodeURIComponent('a reader’s letter'),
      'x-correlation-id': 'letter-17',
      traceparent,
    },
  );
  const { body: history } = await service.request('GET', `/audit/authors/${body.id}`);
  expect(history.events[0]).toMatchObject({
    actor: 'Zoë, clerk',
    reason: 'a reader’s letter',
    correlationId: 'letter-17',
    traceParent: traceparent,
    position: body.position,
  });
});
