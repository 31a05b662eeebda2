import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { createLog, type TestLog } from '../support/log.js';
import { environment, ROOT, start } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';

const SAMPLE = join(ROOT, 'samples', 'classics.ndjson');
const NDJSON = { 'content-type': 'application/x-ndjson' };

let service: TestService;
beforeAll(async () => {
  service = await createService();
});
afterAll(() => service.stop());

const parse = (text: string) =>
  text
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const post = async (raw: string | Uint8Array<ArrayBuffer>) =>
  parse((await service.request('POST', '/imports', { raw, headers: NDJSON })).text);
const asLines = (...lines: object[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('');
const statuses = (results: any[]) => {
  const counts: Record<string, number> = {};
  for (const { status } of results) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

test('the sample goes in, line by line and in order, and a second time changes nothing', async () => {
  const sample = readFileSync(SAMPLE, 'utf8');
  const first = await post(sample);
  expect(first.map((result) => result.line)).toEqual(first.map((_, index) => index + 1));
  expect(statuses(first)).toEqual({ added: 160 });
  const { head } = (await service.request('GET', '/projections')).body.items[0];
  const second = await post(sample);
  expect(statuses(second)).toEqual({ unchanged: 160 });
  expect(second.map(({ key, id }) => [key, id])).toEqual(first.map(({ key, id }) => [key, id]));
  expect((await service.request('GET', '/projections')).body.items[0].head).toBe(head);
  await caughtUp(service);
  expect(
    await sql(
      service.database.url,
      `select (select count(*)::integer from catalogue.authors) as authors,
              (select count(*)::integer from catalogue.books) as books,
              (select count(*)::integer from catalogue.author_book) as links`,
    ),
  ).toEqual([{ authors: 78, books: 82, links: 117 }]);
});

test('a line that differs changes what differs', async () => {
  const author = (key: string, name: string) => ({ type: 'author', key, name });
  const book = (title: string, ...authors: object[]) => ({ type: 'book', key: 'diff', title, authors });
  await post(asLines(author('d1', 'One'), author('d2', 'Two'), author('d3', 'Three')));
  const [added] = await post(asLines(book('Title', { author: 'd1' }, { author: 'd2' })));
  const [renamed, changed, same] = await post(
    asLines(
      author('d1', 'Uno'),
      book('Title', { author: 'd3', roles: ['editor'] }, { author: 'd1' }),
      author('d2', 'Two'),
    ),
  );
  expect([renamed?.status, changed?.status, same?.status]).toEqual(['changed', 'changed', 'unchanged']);
  const { events } = (await service.request('GET', `/audit/books/${added?.id}`)).body;
  expect(events.map((event: any) => event.type)).toEqual([
    'BookAdded',
    'BookLinked',
    'BookLinked',
    'BookUnlinked',
    'BookLinked',
    'AuthorsReordered',
  ]);
  // Without a list of authors, a line says nothing about them.
  const [left] = await post(asLines({ type: 'book', key: 'diff', title: 'Title' }));
  expect(left?.status).toBe('unchanged');
});

test('a line that fails says which and why, and the others go in', async () => {
  const invalid = Buffer.concat([
    Buffer.from(
      `{"type":"author","key":"f1","name":"Fine"}\n` +
        `\n` +
        `not json\n` +
        `{"type":"author","key":"f2","name":""}\n` +
        `{"type":"author","key":"f3","name":"x","more":1}\n` +
        `{"type":"poem","key":"f4"}\n` +
        `{"type":"book","key":"f5","title":"x","authors":[{"author":"nobody"}]}\n` +
        `{"type":"book","key":"f6","title":"x","authors":[{"author":"f1"},{"author":"f1"}]}\n` +
        `{"type":"author","name":"x"}\n`,
    ),
    Buffer.from([0x22, 0xff, 0x22, 0x0a]),
    Buffer.from(`{"type":"author","key":"f7","name":"${'x'.repeat(1_100_000)}"}\n`),
    Buffer.from(`{"type":"author","key":"f8","name":"Last, without a line break"}`),
  ]);
  const results = await post(Uint8Array.from(invalid));
  expect(results.map(({ line, key, status, error }) => [line, key, error?.rule ?? status])).toEqual([
    [1, 'f1', 'added'],
    [3, null, 'malformed-json'],
    [4, 'f2', 'blank'],
    [5, 'f3', 'unknown-field'],
    [6, 'f4', 'invalid'],
    [7, 'f5', 'author-not-found'],
    [8, 'f6', 'added'],
    [9, null, 'required'],
    [10, null, 'utf-8'],
    [11, null, 'too-long'],
    [12, 'f8', 'added'],
  ]);
  for (const { error } of results) if (error) expect(error.detail).toMatch(/.+/);
});

test('what real sources contain goes in', async () => {
  const lines = [
    { type: 'author', key: 1, name: 'Patrick\tSüskind' },
    { type: 'author', key: 'real 2', name: '\u0098von \u009cArnim, Bettina' },
    {
      type: 'book',
      key: 'real 3',
      title: '\u0098Das \u009cParfum',
      authors: [
        { author: 1 },
        { author: 'real 2', roles: null },
        { author: '1', roles: ['ill'], creditedAs: '' },
      ],
    },
    { type: 'book', key: 'real 4', title: 'The\tPits\u000b', authors: null },
    { type: 'book', key: 'real 5', title: 'Quartz', authors: [] },
    {
      type: 'book',
      key: 'real 6',
      title: 'Opals',
      authors: [{ author: 'real 2', roles: [], creditedAs: null }],
    },
  ];
  expect(statuses(await post(asLines(...lines)))).toEqual({ added: 6 });
  expect(statuses(await post(asLines(...lines)))).toEqual({ unchanged: 6 });
  await caughtUp(service);
  const [author] = (await service.request('GET', '/authors?key=1')).body.items;
  expect(author).toMatchObject({ name: 'Patrick Süskind', sourceKey: '1' });
  const [book, ...others] = (await service.request('GET', '/books?key=real%203&include=authors')).body.items;
  expect(others).toEqual([]);
  expect(book).toMatchObject({
    title: 'Das Parfum',
    filedAs: 'Parfum',
    sourceKey: 'real 3',
    authors: [
      { id: author.id, roles: ['author', 'illustrator'], creditedAs: null },
      { name: 'von Arnim, Bettina', roles: ['author'], creditedAs: null },
    ],
  });
  expect((await service.request('GET', `/books/${book.id}`)).body).toMatchObject({ filedAs: 'Parfum' });
  const asOf = new Date().toISOString();
  expect((await service.request('GET', `/books/${book.id}?asOf=${asOf}`)).body).toMatchObject({
    filedAs: 'Parfum',
    sourceKey: 'real 3',
  });
  expect((await service.request('GET', '/books?key=real%204')).body.items).toMatchObject([
    { title: 'The Pits' },
  ]);
  // Sorted under P, and found by its full title.
  const titles = ['Opals', 'Das Parfum', 'Quartz'];
  const sorted = (await service.request('GET', '/books?limit=500')).body.items.map((each: any) => each.title);
  expect(sorted.filter((title: string) => titles.includes(title))).toEqual(titles);
  expect((await service.request('GET', '/books?search=das%20parfum')).body.items).toMatchObject([
    { id: book.id },
  ]);
  expect((await service.request('GET', `/authors/${author.id}/books`)).body.items).toMatchObject([
    { id: book.id },
  ]);
});

test('the key of a source finds its author or book only, among the others that a list asks for', async () => {
  await post(
    asLines(
      { type: 'author', key: 'same', name: 'Same Key' },
      { type: 'book', key: 'same', title: 'Same Key', authors: [{ author: 'same' }] },
      { type: 'author', key: 'Same', name: 'Other Case' },
    ),
  );
  await caughtUp(service);
  const items = async (path: string) => (await service.request('GET', path)).body.items;
  expect(await items('/authors?key=same')).toMatchObject([{ name: 'Same Key' }]);
  expect(await items('/books?key=same&search=same&prefix=s&sort=-title')).toMatchObject([
    { title: 'Same Key' },
  ]);
  expect(await items('/books?key=same&role=author')).toMatchObject([{ title: 'Same Key' }]);
  for (const path of [
    '/authors?key=sam',
    '/authors?key=same&hasBooks=false',
    '/books?key=Same',
    '/books?key=same&search=x',
  ])
    expect([path, await items(path)]).toEqual([path, []]);
  const { status, body } = await service.request('GET', `/authors?key=${'k'.repeat(256)}`);
  expect([status, body.errors]).toMatchObject([400, [{ pointer: 'query/key', rule: 'too-large' }]]);

  // As an early version wrote it: the key is in the id alone.
  await sql(service.database.url, `update catalogue.authors set source_key = null where source_key = 'same'`);
  const [author] = await items('/authors?key=same');
  expect(author).toMatchObject({ name: 'Same Key' });
  expect(author).not.toHaveProperty('sourceKey');

  // Removed and restored, both keep what they are known by.
  const [book] = await items('/books?key=same');
  await service.request('DELETE', `/books/${book.id}`);
  await service.request('DELETE', `/authors/${author.id}`);
  await service.request('POST', `/authors/${author.id}/restore`);
  await service.request('POST', `/books/${book.id}/restore`);
  await caughtUp(service);
  for (const path of ['/authors?key=same', '/books?key=same'])
    expect(await items(path)).toMatchObject([{ sourceKey: 'same' }]);
});

test('titles and lists of authors mean the same in requests as in imports', async () => {
  const { id: author } = (await service.request('POST', '/authors', { body: { name: 'Twice Listed' } })).body;
  const { id } = (
    await service.request('POST', '/books', {
      body: {
        title: '\u0088Le \u0089père\tGoriot',
        authors: [{ authorId: author }, { authorId: author, roles: ['editor'], creditedAs: 'T.' }],
      },
    })
  ).body;
  await caughtUp(service);
  const shown = async () => (await service.request('GET', `/books/${id}?include=authors`)).body;
  expect(await shown()).toMatchObject({
    title: 'Le père Goriot',
    filedAs: 'père Goriot',
    authors: [{ id: author, roles: ['author', 'editor'], creditedAs: 'T.' }],
  });
  expect(await shown()).not.toHaveProperty('sourceKey');
  await service.request('PATCH', `/books/${id}`, { body: { title: 'Le père Goriot' } });
  await caughtUp(service);
  expect(await shown()).not.toHaveProperty('filedAs');
  await service.request('PATCH', `/books/${id}`, { body: { title: '\u0098Le\u009c père Goriot' } });
  await caughtUp(service);
  expect(await shown()).toMatchObject({ filedAs: 'père Goriot' });
});

test('gzip data is inflated, whatever the headers say of it', async () => {
  const half = (n: number) =>
    asLines(...Array.from({ length: 50 }, (_, at) => ({ type: 'author', key: `gz ${n} ${at}`, name: 'Gz' })));
  const raw = Uint8Array.from(Buffer.concat([gzipSync(half(1)), gzipSync(half(2))]));
  expect(statuses(await post(raw))).toEqual({ added: 100 });
  const headers = { ...NDJSON, 'content-encoding': 'gzip' };
  for (const body of [raw, half(1) + half(2)]) {
    const { status, text } = await service.request('POST', '/imports', { raw: body, headers });
    expect([status, statuses(parse(text))]).toEqual([200, { unchanged: 100 }]);
  }
});

test('of damaged gzip data, the lines before the damage go in, and the last result says so', async () => {
  const zipped = gzipSync(
    asLines(...Array.from({ length: 20 }, (_, n) => ({ type: 'author', key: `cut ${n}`, name: `${n}` }))),
  );
  const results = await post(Uint8Array.from(zipped.subarray(0, -8)));
  expect(statuses(results)).toEqual({ added: 20, failed: 1 });
  expect(results.at(-1)).toEqual({
    line: 21,
    key: null,
    id: null,
    status: 'failed',
    error: { rule: 'damaged-gzip', detail: 'the gzip data ends too early' },
  });
});

test('a dry run says what each line would do, and writes nothing', async () => {
  const author = (key: string, name: string) => ({ type: 'author', key, name });
  const book = (key: string, title: string, ...authors: string[]) => ({
    type: 'book',
    key,
    title,
    authors: authors.map((each) => ({ author: each })),
  });
  await post(asLines(author('dry 1', 'One'), book('dry 2', 'Two', 'dry 1')));
  const before = (await service.request('GET', '/projections')).body.items[0].head;
  const lines = asLines(
    author('dry 1', 'One'),
    author('dry 1', 'Uno'),
    author('dry 1', 'Uno'),
    author('dry 3', 'Three'),
    book('dry 2', 'Due', 'dry 3', 'dry 1'),
    book('dry 2', 'Due', 'dry 3', 'dry 1'),
    book('dry 4', 'Four', 'dry 3'),
    book('dry 5', 'Five', 'nobody'),
    author('dry 6', 'Six'),
    book('dry 5', 'Five', 'dry 6'),
    { type: 'author', key: 'dry 7' },
  );
  const dry = async (raw: string) => {
    const answer = await service.request('POST', '/imports?dryRun=true', { raw, headers: NDJSON });
    return parse(answer.text);
  };
  const results = await dry(lines);
  expect(results.map(({ status, changes, error }) => [error?.rule ?? status, ...(changes ?? [])])).toEqual([
    ['unchanged'],
    ['changed', 'AuthorRenamed'],
    ['unchanged'],
    ['added'],
    ['changed', 'BookRetitled', 'BookLinked', 'AuthorsReordered'],
    ['unchanged'],
    ['added'],
    ['author-not-found'],
    ['added'],
    ['added'],
    ['required'],
  ]);
  expect((await service.request('GET', '/projections')).body.items[0].head).toBe(before);
  expect(await dry(lines)).toEqual(results);
  // What it said is what then happens.
  const without = (list: any[]) => list.map(({ changes: _, ...result }) => result);
  expect(await post(lines)).toEqual(without(results));
  const { status, body } = await service.request('POST', '/imports?dryRun=yes', { raw: '', headers: NDJSON });
  expect([status, body.errors]).toMatchObject([400, [{ pointer: 'query/dryRun' }]]);
});

test('a line’s result is not held back for the next line', async () => {
  let send = (_: Uint8Array) => {};
  let end = () => {};
  const body = new ReadableStream({
    start(controller) {
      send = (chunk) => controller.enqueue(chunk);
      end = () => controller.close();
    },
  });
  const line = (n: number) => Buffer.from(asLines({ type: 'author', key: `held ${n}`, name: `Held ${n}` }));
  send(line(1));
  const response = await fetch(`${service.url}/imports`, {
    method: 'POST',
    headers: NDJSON,
    body,
    duplex: 'half',
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toContain('"held 1"');
  send(line(2));
  expect((await reader?.read())?.value).toContain('"held 2"');
  end();
  expect((await reader?.read())?.done).toBe(true);
});

test('a client that sends everything before it reads anything gets every result, and every line is in', async () => {
  // The results are larger than all that the sockets of both sides can hold.
  const COUNT = 200_000;
  const bad = (n: number) => `${JSON.stringify({ type: 'author', key: `${n} ${'k'.repeat(200)}` })}\n`;
  const good = asLines(
    ...Array.from({ length: 500 }, (_, n) => ({ type: 'author', key: `late ${n}`, name: `Late ${n}` })),
  );
  const sending = request(`${service.url}/imports`, { method: 'POST', headers: NDJSON });
  // A response that nobody reads stays in the sockets.
  const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
  for (let n = 0; n < COUNT; n += 1_000) {
    const lines = Array.from({ length: 1_000 }, (_, offset) => bad(n + offset));
    if (!sending.write(lines.join(''))) await once(sending, 'drain');
  }
  sending.end(good);
  await once(sending, 'finish');
  const [response] = await answered;
  let failed = 0;
  let added = 0;
  let rest = '';
  for await (const data of response) {
    const lines = `${rest}${data}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.includes('"status":"failed"')) failed += 1;
      if (line.includes('"status":"added"')) added += 1;
    }
  }
  expect({ failed, added }).toEqual({ failed: COUNT, added: 500 });
});

test('two imports of the same lines at once add each line once', async () => {
  const raw = asLines(
    ...Array.from({ length: 400 }, (_, n) => ({ type: 'author', key: `t${n}`, name: `Twin ${n}` })),
    ...Array.from({ length: 400 }, (_, n) => ({
      type: 'book',
      key: `t${n}`,
      title: `Twin ${n}`,
      authors: [{ author: `t${n}` }],
    })),
  );
  const [one, two] = await Promise.all([post(raw), post(raw)]);
  for (const [index, result] of one.entries())
    expect([result.status, two[index]?.status].toSorted()).toEqual(['added', 'unchanged']);
});

describe('on the command line', () => {
  let database: TestDatabase;
  let log: TestLog;
  let folder: string;
  beforeAll(async () => {
    database = await createDatabase();
    log = await createLog();
    folder = mkdtempSync(join(tmpdir(), 'colophon-import-'));
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await log.drop();
    await database.drop();
  });
  const run = (...args: string[]) =>
    start('dist/src/cli.js', ['import', ...args], { DATABASE_URL: database.url, ...log.env });
  const rows = async () => {
    const [row] = await sql<{ authors: number; books: number; links: number }>(
      database.url,
      `select (select count(*)::integer from catalogue.authors) as authors,
              (select count(*)::integer from catalogue.books) as books,
              (select count(*)::integer from catalogue.author_book) as links`,
    );
    return row;
  };
  const events = async () => {
    const replay = start('dist/src/cli.js', ['replay'], { DATABASE_URL: database.url, ...log.env });
    await replay.ended;
    return parse(replay.output());
  };

  test('the sample goes in and is visible when the program ends', async () => {
    const imported = run(SAMPLE, '--actor', 'librarian', '--reason', 'first load');
    expect(await imported.ended).toBe(0);
    expect(imported.output()).toMatch(
      /160 lines in .* s: 160 added, 0 changed, 0 unchanged, 0 failed; the tables show all of them/,
    );
    expect(await rows()).toEqual({ authors: 78, books: 82, links: 117 });
    const log = await events();
    expect(log).toHaveLength(277);
    for (const event of log) expect(event).toMatchObject({ actor: 'librarian', reason: 'first load' });
  });

  test('killed again and again, it resumes until everything is there once', async () => {
    const file = join(folder, 'large.ndjson');
    writeFileSync(
      file,
      asLines(
        ...Array.from({ length: 6_000 }, (_, n) => ({ type: 'author', key: `k${n}`, name: `K ${n}` })),
        ...Array.from({ length: 6_000 }, (_, n) => ({
          type: 'book',
          key: `k${n}`,
          title: `K ${n}`,
          authors: [{ author: `k${n}` }, { author: `k${(n + 1) % 6_000}` }],
        })),
      ),
    );
    const progress = async () => {
      const { authors = 0, books = 0 } = (await rows()) ?? {};
      return authors + books;
    };
    let kills = 0;
    for (const goal of [500, 2_000, 7_000]) {
      const running = run(file);
      let ended = false;
      void running.ended.then(() => (ended = true));
      while (!ended && (await progress()) < 160 + goal);
      if (!ended) kills += 1;
      running.process.kill('SIGKILL');
      await running.ended;
    }
    expect(kills).toBeGreaterThan(1);
    const last = run(file);
    expect(await last.ended).toBe(0);
    expect(await rows()).toEqual({ authors: 78 + 6_000, books: 82 + 6_000, links: 117 + 12_000 });
    const log = await events();
    expect(log).toHaveLength(277 + 6_000 + 3 * 6_000);
    expect(new Set(log.map(({ stream, revision }) => `${stream} ${revision}`)).size).toBe(log.length);
  }, 180_000);

  test('a line that fails is printed, and the exit code says so', async () => {
    const file = join(folder, 'bad.ndjson');
    writeFileSync(
      file,
      asLines({ type: 'author', key: 'x', name: '' }, { type: 'author', key: 'y', name: 'Y' }),
    );
    const imported = run(file);
    expect(await imported.ended).toBe(1);
    expect(imported.output()).toContain(
      '{"line":1,"key":"x","id":null,"status":"failed","error":{"rule":"blank","detail":"/name has no visible character"}}',
    );
    expect(imported.output()).toContain('1 added, 0 changed, 0 unchanged, 1 failed');
  });

  test('lines come from standard input too', async () => {
    const imported = run('-', '--results');
    imported.process.stdin?.end(asLines({ type: 'author', key: 'stdin', name: 'Standard Input' }));
    expect(await imported.ended).toBe(0);
    expect(imported.output()).toContain('"key":"stdin"');
  });

  test('a compressed file is read, and a file takes the results of all lines', async () => {
    const file = join(folder, 'zipped.ndjson');
    const results = join(folder, 'results.ndjson');
    writeFileSync(
      file,
      gzipSync(
        asLines({ type: 'author', key: 'zip', name: 'Zip' }, { type: 'author', key: 'zop', name: '' }),
      ),
    );
    const imported = run(file, '--results', results);
    expect(await imported.ended).toBe(1);
    expect(imported.output()).toContain('"status":"failed"');
    expect(imported.output()).not.toContain('"status":"added"');
    expect(imported.output()).toContain('1 added, 0 changed, 0 unchanged, 1 failed');
    expect(parse(readFileSync(results, 'utf8'))).toMatchObject([
      { line: 1, key: 'zip', status: 'added' },
      { line: 2, key: 'zop', status: 'failed' },
    ]);
    const over = run(file, '--results', file);
    expect(await over.ended).toBe(1);
    expect(over.output()).toMatch(/^colophon: .* is the file to import, so .*\n$/);
    const before = readFileSync(file);
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(ROOT, 'dist/src/cli.js'), 'import', '-', '--results', file],
      {
        cwd: ROOT,
        stdio: [openSync(file, 'r'), 'pipe', 'pipe'],
        encoding: 'utf8',
        env: environment({ DATABASE_URL: database.url, ...log.env }),
      },
    );
    expect([status, stderr]).toEqual([1, expect.stringContaining('is the file to import')]);
    expect(readFileSync(file)).toEqual(before);
    const full = run(file, '--results', '/dev/full');
    expect(await full.ended).toBe(1);
    expect(full.output()).toMatch(/0 added, 0 changed, 1 unchanged, 1 failed.*\ncolophon: ENOSPC.*\n$/);
  });

  test('a dry run prints what each line would do, and writes nothing', async () => {
    const before = await events();
    const dry = run('--dry-run', '-');
    dry.process.stdin?.end(gzipSync(asLines({ type: 'author', key: 'dry', name: 'Dry' })));
    expect(await dry.ended).toBe(0);
    expect(dry.output()).toContain('"key":"dry"');
    expect(dry.output()).toContain(
      '1 added, 0 changed, 0 unchanged, 0 failed; a dry run, so nothing was written',
    );
    expect(await events()).toEqual(before);
  });

  test('without a file to import, the usage is told', async () => {
    const nothing = run('--dry-run');
    expect(await nothing.ended).toBe(1);
    expect(nothing.output()).toContain("missing required argument 'file'");
  });

  test('a file that is not there is told in one line', async () => {
    const imported = run(join(folder, 'nowhere.ndjson'));
    expect(await imported.ended).toBe(1);
    expect(imported.output()).toMatch(/^colophon: ENOENT.*nowhere.ndjson'\n$/);
  });
});
