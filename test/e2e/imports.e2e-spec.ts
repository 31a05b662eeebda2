import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { createLog, type TestLog } from '../support/log.js';
import { ROOT, start } from '../support/process.js';
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
    [8, 'f6', 'author-listed-twice'],
    [9, null, 'required'],
    [10, null, 'utf-8'],
    [11, null, 'too-long'],
    [12, 'f8', 'added'],
  ]);
  for (const { error } of results) if (error) expect(error.detail).toMatch(/.+/);
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

  test('a file that is not there is told in one line', async () => {
    const imported = run(join(folder, 'nowhere.ndjson'));
    expect(await imported.ended).toBe(1);
    expect(imported.output()).toMatch(/^colophon: ENOENT.*nowhere.ndjson'\n$/);
  });
});
