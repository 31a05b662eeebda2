import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import type { EventStore } from '../../src/event-store/event-store.js';
import { caughtUp, importLines } from '../support/catalogue.js';
import { sql } from '../support/database.js';
import { newEvent } from '../support/events.js';
import { openLog } from '../support/log.js';
import { ROOT, start } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';
import { dumpTables } from '../support/tables.js';

// What an operator does with the tables of a running service, from the command line and over HTTP.

let service: TestService;
let log: EventStore;
beforeEach(async () => {
  service = await createService();
  log = openLog(service.env);
});
afterEach(async () => {
  await log.close();
  await service.stop();
});

const get = (path: string, headers?: Record<string, string>) =>
  service.request('GET', path, { ...(headers && { headers }) });
const sqlOf = <Row extends object>(...statements: string[]) => sql<Row>(service.database.url, ...statements);

async function colophon(...args: string[]): Promise<{ code: number | string; output: string }> {
  const running = start('dist/src/cli.js', args, service.env);
  const code = await running.ended;
  return { code, output: running.output() };
}

async function importClassics(): Promise<Record<string, string>> {
  const lines = readFileSync(join(ROOT, 'samples', 'classics.ndjson'), 'utf8')
    .trim()
    .split('\n');
  return importLines(
    service,
    lines.map((line) => JSON.parse(line)),
  );
}

/** A table that is wrong, and a reader who holds a row until told otherwise: what applies has to wait for them. */
async function holdTables(): Promise<() => Promise<void>> {
  await sqlOf(`update catalogue.authors set name = 'Wrong' where name = 'Marx, Karl'`);
  const reader = new Client({ connectionString: service.database.url, application_name: 'a report' });
  await reader.connect();
  await reader.query('begin; select from catalogue.books limit 1 for share');
  return async () => {
    await reader.query('commit');
    await reader.end();
  };
}

/** What operators did, as auditors see it. */
const acts = async () =>
  (await get('/audit/events?types=TablesRebuilt,TablesRepaired,ParkedRetried')).body.items;

const lastRebuild = async () => (await get('/projections')).body.items[0].rebuild;
async function untilHeldUp(): Promise<any> {
  for (;;) {
    const rebuild = await lastRebuild();
    if (rebuild?.heldUpBy) return rebuild;
    await new Promise((again) => setTimeout(again, 50));
  }
}

test('readers see one catalogue at every moment of rebuilds under load, and their own writes', async () => {
  await importClassics();
  const authors = await Promise.all(
    [0, 0].map(
      async (n) => (await service.request('POST', '/authors', { body: { name: `Name ${n}` } })).body.id,
    ),
  );
  const created = await service.request('POST', '/books', {
    body: { title: 'Title 0', authors: authors.map((authorId) => ({ authorId })) },
  });
  const book = created.body.id;
  await caughtUp(service);
  let done = false;
  let written = 0;
  let answers = 0;

  /** First the author's name counts up, then the book's title. */
  const write = async () => {
    for (let n = 1; !done; n += 1) {
      expect(
        await service.request('PATCH', `/authors/${authors[0]}`, { body: { name: `Name ${n}` } }),
      ).toMatchObject({
        status: 200,
      });
      const { status, body } = await service.request('PATCH', `/books/${book}`, {
        body: { title: `Title ${n}` },
      });
      expect(status).toBe(200);
      written = n;
      const own = await get(`/books/${book}`, { 'min-position': body.position });
      expect(own).toMatchObject({ status: 200, body: { title: `Title ${n}` } });
    }
  };
  const numberIn = (text: string) => Number(/\d+$/.exec(text)?.[0]);
  let highest = 0;
  /** Never a title whose name isn't there yet, never two steps apart, never back. */
  const check = (name: string, title: string, before: number) => {
    const [n, t] = [numberIn(name), numberIn(title)];
    expect([n, n - 1]).toContain(t);
    expect(t).toBeGreaterThanOrEqual(before);
    highest = Math.max(highest, t);
    answers += 1;
  };
  const readBook = async () => {
    while (!done) {
      const before = highest;
      const { status, body } = await get(`/books/${book}?include=authors`);
      expect({ status, authors: body.authors?.length }).toEqual({ status: 200, authors: 2 });
      check(body.authors[0].name, body.title, before);
    }
  };
  const readList = async () => {
    while (!done) {
      const before = highest;
      const { status, body } = await get('/authors?include=books&prefix=name&limit=10');
      expect({ status, authors: body.items?.length }).toEqual({ status: 200, authors: 2 });
      const [author] = body.items.filter((item: any) => item.id === authors[0]);
      check(author.name, author.books[0].title, before);
    }
  };
  /** A SQL client: one statement sees one catalogue, and all of it. */
  const readAll = async () => {
    const client = new Client({ connectionString: service.database.url });
    await client.connect();
    while (!done) {
      const before = highest;
      const { rows } = await client.query(
        `select (select count(*)::integer from catalogue.authors) as authors, (select count(*)::integer from catalogue.books) as books,
                (select count(*)::integer from catalogue.author_book l join catalogue.books b on b.id = l.book_id
                 join catalogue.authors a on a.id = l.author_id) as links,
                (select name from catalogue.authors where id = '${authors[0]}') as name,
                (select title from catalogue.books where id = '${book}') as title`,
      );
      const [{ name, title, ...counts }] = rows;
      expect(counts).toEqual({ authors: 80, books: 83, links: expect.any(Number) });
      expect(counts.links).toBeGreaterThan(83);
      check(name, title, before);
    }
    await client.end();
  };

  const work = Promise.all([write(), readBook(), readBook(), readList(), readAll()]).finally(
    () => (done = true),
  );
  for (let n = 0; n < 3 && !done; n += 1) {
    const { code, output } = await colophon('rebuild');
    expect({ code, output }).toMatchObject({
      code: 0,
      output: expect.stringMatching(/catalogue: \d+ events, up to .*\nchanges: \d+ events, up to/s),
    });
  }
  const job = await service.request('POST', '/projections/catalogue/rebuild');
  const ended = await get(job.headers.get('location') ?? '', { accept: 'application/x-ndjson' });
  expect(JSON.parse(ended.text.trim().split('\n').at(-1) ?? '')).toMatchObject({
    status: 'done',
    error: null,
  });
  done = true;
  await work;
  expect(written).toBeGreaterThan(10);
  expect(answers).toBeGreaterThan(100);

  await caughtUp(service);
  expect(await colophon('verify')).toMatchObject({
    code: 0,
    output: expect.stringMatching(
      /catalogue: the tables match the log[^]*\nchanges: the tables match the log/,
    ),
  });
  const { output } = await colophon('verify', 'changes');
  expect(output).toMatch(/changes: the tables match the log/);
  expect(output).not.toContain('catalogue');
  expect(await colophon('status', 'changes')).toMatchObject({
    code: 0,
    output: expect.stringMatching(/^changes: position \d+\.[\da-f]{8} of \d+/),
  });
  expect(await colophon('parked', 'list', 'nothing')).toEqual({
    code: 1,
    output: 'colophon: there is no projection nothing, only catalogue and changes\n',
  });
});

test('of two rebuilds at once the second is told who holds it; the first, killed, leaves no trace', async () => {
  await importClassics();
  const before = await dumpTables(service.database.url);
  const release = await holdTables();
  const first = start('dist/src/cli.js', ['rebuild'], service.env);
  const { id, heldUpBy } = await untilHeldUp();
  expect(heldUpBy).toMatch(/^pid \d+ \(a report, /);
  const holder = `by process ${first.process.pid} on `;
  expect(await colophon('rebuild')).toMatchObject({ code: 1, output: expect.stringContaining(holder) });
  const refused = await service.request('POST', '/projections/catalogue/rebuild');
  expect(refused).toMatchObject({ status: 409, body: { type: 'urn:colophon:problem:rebuild-running' } });
  expect(refused.body.detail).toContain(holder);

  first.process.kill('SIGKILL');
  await first.ended;
  while ((await lastRebuild()) !== null) await new Promise((again) => setTimeout(again, 50));
  expect((await get(`/projections/catalogue/rebuilds/${id}`)).body).toMatchObject({
    status: 'failed',
    error: 'it was killed',
  });
  expect((await dumpTables(service.database.url)).replace('"Wrong"', '"Marx, Karl"')).toBe(before);

  // The next one clears up, waits its turn, and is followed live.
  const job = await service.request('POST', '/projections/catalogue/rebuild', {
    headers: { 'x-actor': '%C3%9Cmit', reason: 'a%20wrong%20name' },
  });
  expect(job).toMatchObject({
    status: 202,
    body: { status: 'running', startedBy: expect.stringMatching(/^process \d+ on /) },
  });
  const following = get(job.headers.get('location') ?? '', { accept: 'application/x-ndjson' });
  await untilHeldUp();
  // Whoever follows looks four times a second.
  await new Promise((later) => setTimeout(later, 1_000));
  await release();
  const lines = (await following).text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ phase }) => phase)).toEqual(expect.arrayContaining(['applying', 'done']));
  expect(await dumpTables(service.database.url)).toBe(before);
  // Nobody hears of those that were refused or killed.
  expect(await acts()).toMatchObject([
    {
      type: 'TablesRebuilt',
      actor: 'Ümit',
      reason: 'a wrong name',
      data: { projection: 'catalogue', schema: 'catalogue', rows: 1 },
    },
  ]);
  await caughtUp(service);
  expect((await get('/projections')).body.items).toMatchObject([{ lag: 0 }, { lag: 0 }]);
  expect((await get(`/projections/catalogue/rebuilds/${crypto.randomUUID()}`)).status).toBe(404);
});

test('stopped with Ctrl-C, a rebuild cleans up', async () => {
  await importClassics();
  const release = await holdTables();
  const rebuild = start('dist/src/cli.js', ['rebuild'], service.env);
  await untilHeldUp();
  rebuild.process.kill('SIGINT');
  expect(await rebuild.ended).toBe(130);
  expect(await sqlOf(`select from pg_namespace where nspname like 'colophon%'`)).toEqual([]);
  await release();
  await sqlOf('create schema colophon_rebuild_catalogue');
  expect(await service.request('POST', '/projections/catalogue/rebuild')).toMatchObject({
    status: 409,
    body: {
      type: 'urn:colophon:problem:schema-taken',
      detail: expect.stringContaining('colophon_rebuild_catalogue'),
    },
  });
});

test('verify names every row that was damaged, and the event that explains it; --repair mends them', async () => {
  const keys = await importClassics();
  const removed = Object.values(keys).at(-1) ?? '';
  await service.request('DELETE', `/books/${removed}`);
  // Links to one who was removed at the same moment wait aside.
  const ghost = crypto.randomUUID();
  await log.append(`author-${ghost}`, 'no-stream', [newEvent(), newEvent('AuthorRemoved', {})]);
  const haunted = crypto.randomUUID();
  await log.append(`book-${haunted}`, 'no-stream', [
    newEvent('BookAdded', { title: 'Haunted' }),
    newEvent('BookLinked', { authorId: ghost, position: 1, roles: ['author'], creditedAs: null }),
  ]);
  await caughtUp(service);
  const whole = await dumpTables(service.database.url);
  expect(await colophon('verify')).toMatchObject({ code: 0 });
  const [link] = await sqlOf<{ author_id: string; book_id: string }>(
    'select * from catalogue.author_book limit 1',
  );
  const [book] = await sqlOf<{ id: string }>(
    `select id from catalogue.books where id <> '${link?.book_id}' and id <> '${haunted}' limit 1`,
  );
  await sqlOf(
    `update catalogue.authors set name = 'Somebody Else' where id = '${link?.author_id}'`,
    `insert into catalogue.authors (id, name, name_sort, words, revision, created_at, updated_at)
     values ('${crypto.randomUUID()}', 'Nobody', 'nobody', ' nobody', 0, now(), now())`,
    `update catalogue.book_words set words = ' nothing' where book_id = '${link?.book_id}'`,
    `delete from catalogue.author_book where book_id = '${book?.id}'`,
    `delete from catalogue.books where id = '${book?.id}'`,
    `update catalogue.author_book set roles = '{narrator}' where book_id = '${link?.book_id}'`,
    `update catalogue.book_words set words = ' lies|' where book_id = '${link?.book_id}'`,
    `update catalogue.waiting_links set position = 7`,
    `update catalogue.removed set revision = 40 where id = '${removed}'`,
    `delete from catalogue.removed where id = '${ghost}'`,
  );
  const found = await colophon('verify');
  expect(found.code).toBe(1);
  const differences = found.output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  expect(differences).toEqual(
    expect.arrayContaining([
      {
        table: 'authors',
        key: { id: link?.author_id },
        expected: expect.objectContaining({ name: expect.not.stringContaining('Somebody') }),
        found: expect.objectContaining({ name: 'Somebody Else' }),
        event: { type: 'AuthorAdded', position: expect.stringMatching(/^\d+\.[\da-f]{8}$/) },
      },
      expect.objectContaining({ table: 'authors', expected: null, event: null }),
      expect.objectContaining({ table: 'books', key: { id: book?.id }, found: null }),
      expect.objectContaining({
        table: 'book_words',
        key: { book_id: link?.book_id },
        event: expect.objectContaining({ type: 'BookLinked' }),
      }),
      expect.objectContaining({
        table: 'author_book',
        found: null,
        event: expect.objectContaining({ type: 'BookLinked' }),
      }),
      expect.objectContaining({
        table: 'author_book',
        key: { author_id: link?.author_id, book_id: link?.book_id },
        found: expect.objectContaining({ roles: ['narrator'] }),
      }),
      expect.objectContaining({
        table: 'book_words',
        key: { book_id: link?.book_id },
        event: expect.objectContaining({ type: expect.stringMatching(/^Book|^Author/) }),
      }),
      expect.objectContaining({
        table: 'waiting_links',
        key: { author_id: ghost, book_id: haunted },
        event: expect.objectContaining({ type: 'BookLinked' }),
      }),
      expect.objectContaining({
        table: 'removed',
        key: { kind: 'book', id: removed },
        event: expect.objectContaining({ type: 'BookRemoved' }),
      }),
      expect.objectContaining({ table: 'removed', key: { kind: 'author', id: ghost }, found: null }),
    ]),
  );
  expect(found.output).toContain(`${differences.length} rows differ`);

  const mended = await colophon('verify', '--repair', '--actor', 'Ümit', '--reason', 'a test');
  expect(mended).toMatchObject({
    code: 1,
    output: expect.stringContaining(`${differences.length} repaired`),
  });
  expect(await dumpTables(service.database.url)).toBe(whole);
  expect(await colophon('verify')).toMatchObject({ code: 0 });
  expect(await acts()).toMatchObject([
    { type: 'TablesRepaired', actor: 'Ümit', reason: 'a test', data: { rows: differences.length } },
  ]);
  expect(await sqlOf(`select from pg_namespace where nspname like 'colophon%'`)).toEqual([]);
});

test('verify and --repair while commands keep coming find no fault that isn’t there', async () => {
  await importClassics();
  let done = false;
  const write = async () => {
    for (let n = 0; !done; n += 1) await service.request('POST', '/authors', { body: { name: `New ${n}` } });
  };
  const writing = Promise.all([write(), write()]);
  expect(await colophon('verify')).toMatchObject({ code: 0 });
  await sqlOf(`update catalogue.books set title = 'x' where id = (select id from catalogue.books limit 1)`);
  expect(await colophon('verify', '--repair')).toMatchObject({
    code: 1,
    output: expect.stringContaining('1 repaired'),
  });
  expect(await colophon('verify')).toMatchObject({ code: 0 });
  done = true;
  await writing;
});

test('an event that can’t be applied is parked, what it is about is stale, and everything else goes on', async () => {
  const add = async (name: string) => (await service.request('POST', '/authors', { body: { name } })).body;
  const [bad, good] = [await add('Bad'), await add('Good')];
  const book = (
    await service.request('POST', '/books', { body: { title: 'B', authors: [{ authorId: bad.id }] } })
  ).body;
  const paths = [`/authors/${bad.id}`, `/authors/${bad.id}?include=books`];
  const known = (path: string, etag: string | null) =>
    service.request('GET', path, { headers: { 'if-none-match': etag ?? '' } });
  await caughtUp(service);
  const tags = await Promise.all(paths.map(async (path) => (await get(path)).headers.get('etag')));
  await log.append(`author-${bad.id}`, 0n, [newEvent('AuthorRenamed', { name: 42 })]);
  const stranger = crypto.randomUUID();
  await log.append(`author-${stranger}`, 'no-stream', [newEvent('AuthorRenamed', { name: 'Who?' })]);
  await log.append(`author-${bad.id}`, 1n, [newEvent('AuthorRenamed', { name: 'Better' })]);
  // Whatever needs to know how the author stands is refused: deciding past the event could undo what it did.
  const refusal = { status: 409, body: { type: 'urn:colophon:problem:stream-not-understood' } };
  const rename = await service.request('PATCH', `/authors/${bad.id}`, { body: { name: 'Best' } });
  expect(rename).toMatchObject(refusal);
  const link = await service.request('POST', '/books', {
    body: { title: 'C', authors: [{ authorId: bad.id }] },
  });
  expect(link).toMatchObject(refusal);
  await service.request('PATCH', `/authors/${good.id}`, { body: { name: 'Best' } });
  await caughtUp(service);

  expect((await get('/projections')).body.items[0]).toMatchObject({ lag: 0, parked: 3, error: null });
  expect((await get(`/authors/${bad.id}`)).body).toMatchObject({ name: 'Bad', revision: '0', stale: true });
  for (const [n, path] of paths.entries()) {
    const marked = await known(path, tags[n] ?? null);
    expect(marked).toMatchObject({ status: 200, body: { stale: true } });
    expect((await known(path, marked.headers.get('etag'))).status).toBe(304);
  }
  expect((await get(`/authors/${good.id}`)).body).toEqual(expect.not.objectContaining({ stale: true }));
  expect((await get(`/authors/${good.id}`)).body.name).toBe('Best');
  expect((await get(`/books/${book.id}?include=authors`)).body.authors).toHaveLength(1);
  expect((await get('/authors?search=bad')).body.items[0]).toMatchObject({ stale: true });
  expect(await get(`/authors/${stranger}`)).toMatchObject({
    status: 503,
    body: { detail: expect.stringContaining('parked') },
  });
  expect((await get(`/authors/${bad.id}?asOf=${new Date().toISOString()}`)).body).toMatchObject({
    name: 'Bad',
    stale: true,
  });

  const list = (await colophon('parked', 'list')).output.trim().split('\n');
  expect(list).toHaveLength(3);
  expect(list[0]).toMatch(
    new RegExp(`author-${bad.id}  1  AuthorRenamed  .*its name is not text that a table can hold$`),
  );
  expect(list[2]).toMatch(/waits behind an earlier parked event$/);
  const shown = await colophon('parked', 'show', `author-${bad.id}`);
  expect(shown.output).toContain('"name": 42');
  expect(await colophon('parked', 'show', `author-${good.id}`)).toMatchObject({ code: 1 });

  // A restart and a verification know of it; a rebuild wants to be told.
  await service.restart('SIGKILL');
  await caughtUp(service);
  expect(await colophon('verify')).toMatchObject({ code: 0 });
  const refused = await colophon('rebuild');
  expect(refused).toMatchObject({ code: 1, output: expect.stringContaining("3 events can't be applied") });
  expect(refused.output).toContain('its name is not text that a table can hold');
  const tables = await dumpTables(service.database.url);
  const allowed = await colophon('rebuild', '--allow-parked');
  expect(allowed).toMatchObject({ code: 0, output: expect.stringContaining('3 parked') });
  expect(await dumpTables(service.database.url)).toBe(tables);

  expect(await colophon('parked', 'retry', `author-${bad.id}`)).toMatchObject({
    code: 1,
    output: expect.stringContaining('2 still parked'),
  });
  const skipping = ['parked', 'skip', `author-${bad.id}`, '--actor', 'Ümit', '--reason', 'a number'];
  expect(await colophon(...skipping)).toMatchObject({ code: 0 });
  const skipped = { name: 'Better', revision: '2' };
  expect((await get(`/authors/${bad.id}`)).body).toMatchObject(skipped);
  expect(await colophon(...skipping)).toMatchObject({
    code: 1,
    output: expect.stringContaining('nothing of'),
  });
  const { items } = (await get('/audit/events?stream=operations-catalogue')).body;
  expect(items).toMatchObject([
    {
      type: 'EventSkipped',
      actor: 'Ümit',
      reason: 'a number',
      data: { stream: `author-${bad.id}`, revision: '1' },
    },
  ]);
  // The table, the past and the reasons tell the same, before and after the skip and after a rebuild.
  const before = await dumpTables(service.database.url);
  expect(await colophon('verify')).toMatchObject({ code: 0 });
  expect(await colophon('rebuild', '--allow-parked')).toMatchObject({ code: 0 });
  expect(await dumpTables(service.database.url)).toBe(before);
  expect((await get(`/authors/${bad.id}?asOf=${items[0].position}`)).body).toMatchObject(skipped);
  const { body: reasons } = await get(`/audit/authors/${bad.id}/row`);
  expect(reasons.row).toMatchObject(skipped);
  expect(reasons.changes.at(-1).event).toEqual(items[0]);
  const { events } = (await get(`/audit/authors/${bad.id}`)).body;
  expect(events.at(-1)).toEqual(items[0]);
  expect((await get(`/authors/${bad.id}?asOf=${events.at(-2).position}`)).body).toMatchObject({
    name: 'Bad',
    stale: true,
  });
  expect(await get(`/authors/${stranger}?asOf=${items[0].position}`)).toMatchObject({
    status: 503,
    body: { detail: expect.stringContaining('parked') },
  });
  // The tables go on past what was skipped; commands still can't know how the author stands.
  expect(
    await service.request('PATCH', `/authors/${bad.id}`, { body: { name: 'Best of all' } }),
  ).toMatchObject(refusal);
  await log.append(`author-${bad.id}`, 2n, [newEvent('AuthorRenamed', { name: 'Best of all' })]);
  await caughtUp(service);
  expect((await get(`/authors/${bad.id}`)).body).toEqual(
    expect.objectContaining({ name: 'Best of all', revision: '3' }),
  );
  expect((await get(`/authors/${bad.id}`)).body.stale).toBeUndefined();
  expect((await get('/projections')).body.items[0].parked).toBe(1);
  expect(await colophon('parked', 'retry', 'author-of-nothing')).toMatchObject({ code: 1 });
});

test('what a damaged table parked is taken up again in order, once that is mended', async () => {
  const { body: author } = await service.request('POST', '/authors', { body: { name: 'A' } });
  const { body: book } = await service.request('POST', '/books', {
    body: { title: 'B', authors: [{ authorId: author.id }] },
  });
  await caughtUp(service);
  // A rule that no version of ours has.
  await sqlOf(`alter table catalogue.books add constraint only_b check (title ~ '^B')`);
  for (const title of ['C', 'D']) await service.request('PATCH', `/books/${book.id}`, { body: { title } });
  await service.request('PATCH', `/authors/${author.id}`, { body: { name: 'A2' } });
  await caughtUp(service);
  expect((await get(`/books/${book.id}`)).body).toMatchObject({ title: 'B', stale: true });
  expect((await get(`/authors/${author.id}`)).body.name).toBe('A2');
  await sqlOf('alter table catalogue.books drop constraint only_b');
  const retrying = ['parked', 'retry', `book-${book.id}`, '--actor', 'Ümit', '--reason', 'mended'];
  expect(await colophon(...retrying)).toMatchObject({ code: 0 });
  expect((await get(`/books/${book.id}`)).body).toMatchObject({ title: 'D', revision: '3' });
  expect(await colophon('verify')).toMatchObject({ code: 0 });
  expect(await acts()).toMatchObject([
    {
      type: 'ParkedRetried',
      actor: 'Ümit',
      reason: 'mended',
      data: { stream: `book-${book.id}`, applied: 2, parked: 0 },
    },
  ]);
});

test('the events behind a row tell why it is there', async () => {
  const as = (actor: string, reason: string) => ({ 'x-actor': actor, reason });
  const add = async (name: string) => (await service.request('POST', '/authors', { body: { name } })).body.id;
  const [first, second] = [await add('First'), await add('Second')];
  const book = (
    await service.request('POST', '/books', {
      body: { title: 'B', authors: [{ authorId: first }] },
      headers: as('clerk', 'delivery'),
    })
  ).body.id;
  await service.request('PUT', `/books/${book}/authors/${second}`, {
    body: { position: 1 },
    headers: as('editor', 'title%20page'),
  });
  await service.request('PATCH', `/books/${book}`, { body: { title: 'B2' } });
  await service.request('PUT', `/books/${book}/authors/${first}`, { body: { roles: ['editor'] } });

  const { body } = await get(`/audit/links/${first}/${book}`);
  expect(body.row).toMatchObject({ authorId: first, bookId: book, position: 2, roles: ['editor'] });
  // The retitling changed nothing of this link; the other author's coming moved it.
  expect(
    body.changes.map(({ event, row }: any) => [event.type, event.actor, event.reason, row.position]),
  ).toEqual([
    ['BookLinked', 'clerk', 'delivery', 1],
    ['BookLinked', 'editor', 'title page', 2],
    ['BookLinkChanged', 'anonymous', null, 2],
  ]);
  await service.request('DELETE', `/books/${book}/authors/${first}`);
  const gone = (await get(`/audit/links/${first}/${book}`)).body;
  expect(gone.row).toBeNull();
  expect(gone.changes.at(-1)).toMatchObject({ event: { type: 'BookUnlinked' }, row: null });
  expect((await get(`/audit/authors/${first}/row`)).body).toMatchObject({
    row: { name: 'First', revision: '0' },
    changes: [{ event: { type: 'AuthorAdded' } }],
  });
  expect((await get(`/audit/books/${book}/row`)).body.changes.map(({ event }: any) => event.type)).toEqual([
    'BookAdded',
    'BookLinked',
    'BookLinked',
    'BookRetitled',
    'BookLinkChanged',
    'BookUnlinked',
  ]);
  for (const path of [`links/${book}/${first}`, `authors/${book}/row`, `books/${first}/row`])
    expect([path, (await get(`/audit/${path}`)).status]).toEqual([path, 404]);
});

test('an author or a book as it stood, and the whole catalogue as tables of its own', async () => {
  const { body: author } = await service.request('POST', '/authors', { body: { name: 'Then' } });
  const { body: book } = await service.request('POST', '/books', {
    body: { title: 'T1', authors: [{ authorId: author.id }] },
  });
  await new Promise((later) => setTimeout(later, 20));
  const then = new Date().toISOString();
  await new Promise((later) => setTimeout(later, 20));
  await service.request('PATCH', `/authors/${author.id}`, { body: { name: 'Now' } });
  await service.request('PATCH', `/books/${book.id}`, { body: { title: 'T2' } });
  await service.request('DELETE', `/books/${book.id}`);
  for (const moment of [then, book.position, then.replace('Z', '+00:00')]) {
    expect((await get(`/authors/${author.id}?asOf=${moment}`)).body).toEqual({
      id: author.id,
      name: 'Then',
      revision: '0',
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    });
    expect((await get(`/books/${book.id}?asOf=${moment}&include=authors`)).body).toMatchObject({
      title: 'T1',
      authors: [{ id: author.id, name: 'Then', position: 1, roles: ['author'], creditedAs: null }],
    });
  }
  expect((await get(`/books/${book.id}?asOf=${author.position}`)).status).toBe(404);
  expect((await get(`/books/${book.id}?asOf=2000-01-01`)).status).toBe(404);
  expect((await get(`/books/${book.id}?asOf=${new Date().toISOString()}`)).status).toBe(410);
  for (const [query, pointer] of [
    ['asOf=yesterday', 'query/asOf'],
    ['asOf=2099-01-01', 'query/asOf'],
    ['asOf=1.00000000', 'query/asOf'],
    [`asOf=${author.position.replace(/^\d+/, '999999999999')}`, 'query/asOf'],
    [`asOf=${then}&include=books`, 'query/include'],
  ])
    expect((await get(`/authors/${author.id}?${query}`)).body).toMatchObject({
      status: 400,
      errors: [{ pointer }],
    });

  // A word of SQL is a name like any other.
  for (const [moment, schema] of [
    [then, 'as_of_then'],
    [book.position, 'as_of_then'],
    [then, 'then'],
  ] as const) {
    const built = await colophon('rebuild', '--as-of', moment, '--schema', schema, '--replace');
    expect(built).toMatchObject({ code: 0, output: expect.stringContaining(`${schema}: 3 events`) });
    const rows = await sqlOf(
      `select name, title from "${schema}".authors a join "${schema}".author_book l on l.author_id = a.id
       join "${schema}".books b on b.id = l.book_id`,
    );
    expect(rows).toEqual([{ name: 'Then', title: 'T1' }]);
  }
  expect(await colophon('rebuild', '--as-of', then, '--schema', 'as_of_then')).toMatchObject({
    code: 1,
    output: expect.stringContaining('--replace'),
  });
  expect(await colophon('rebuild', '--as-of', then)).toMatchObject({ code: 1 });
  expect(await colophon('rebuild', '--as-of', '2099-01-01', '--schema', 'as_of_later')).toMatchObject({
    code: 1,
    output: expect.stringContaining('in the future'),
  });
  expect(await colophon('rebuild', '--as-of', 'then', '--schema', 'x')).toMatchObject({ code: 1 });
});
