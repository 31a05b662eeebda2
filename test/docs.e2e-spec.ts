import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../src/config.js';
import { caughtUp } from './support/catalogue.js';
import { createLog, type TestLog } from './support/log.js';
import { environment, ROOT, startService, type RunningService } from './support/process.js';
import { send } from './support/service.js';

const run = promisify(execFile);
/** What people read, by its path. */
const PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
  .concat(
    readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.md'))
      .map((file) => join('docs', file)),
  )
  .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
const textOf = (path: string) => PAGES.find((page) => page.path === path)?.text ?? '';
const README = textOf('README.md');

let folder: string;
let log: TestLog;
let service: RunningService;
let env: Record<string, string>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'colophon-docs-'));
  chmodSync(folder, 0o755);
  log = await createLog();
  env = { DATA_DIR: join(folder, 'data'), ...log.env };
  service = await startService(env);
});
afterAll(async () => {
  service.process.kill('SIGTERM');
  await service.ended;
  await log.drop();
  rmSync(folder, { recursive: true });
});

/** What is different each time: times, durations, positions, and ids the server makes. */
const steady = (text: string) =>
  text
    .trim()
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replace(/in \d+\.\d s/g, 'in <time>')
    .replace(/"position":"\d+\.[\da-f]{8}"/g, '"position":"<position>"')
    .replace(/\b(?!018f3c3a)[\da-f]{8}-[\da-f]{4}-7[\da-f-]{17,}/g, '<id>');

const examplesOf = (text: string) =>
  [...text.matchAll(/```console\n\$ (.*)\n([^`]*)```/g)].map(([, command = '', output = '']) => [
    command,
    output,
  ]);

test('the first screen shows a command for each use', () => {
  expect(examplesOf(README).map(([command]) => command?.split(' ')[0])).toEqual([
    'curl',
    'curl',
    'curl',
    'npx',
  ]);
});

test('every command whose answer is shown answers so', async () => {
  // The README comes first: the other pages go on with what its commands made.
  for (const [command, printed] of PAGES.flatMap(({ text }) => examplesOf(text))) {
    // A person is slower than the projection.
    await caughtUp({ request: (method, path, options) => send(`${service.url}${path}`, method, options) });
    const here = (command ?? '')
      .replace('localhost:3000', service.url)
      .replace('npx colophon', `${process.execPath} bin/colophon.js`);
    const { stdout, stderr } = await run('sh', ['-c', here], { cwd: ROOT, env: environment(env) });
    expect(steady(stdout + stderr)).toBe(steady(printed ?? ''));
  }
});

test('the README fits on a screen or two', () => {
  expect(README.trim().split('\n').length).toBeLessThanOrEqual(120);
});

test('every other command that is shown can be given', async () => {
  const shown = PAGES.flatMap(({ path, text }) =>
    [...text.matchAll(/(?:npx |`)colophon ((?:[a-z]+ ?)+)([^`\n]*)/g)].map(([, words = '', rest = '']) => ({
      path,
      words: words.trim().split(' '),
      options: [...rest.matchAll(/--[a-z-]+/g)].map(([option]) => option),
    })),
  );
  const helps = new Map<string, string>();
  const help = async (...args: string[]) => {
    const key = args.join(' ');
    if (!helps.has(key))
      helps.set(
        key,
        (await run(process.execPath, ['bin/colophon.js', ...args, '--help'], { cwd: ROOT })).stdout,
      );
    return helps.get(key) ?? '';
  };
  expect(shown.length).toBeGreaterThan(5);
  for (const { path, words, options } of shown) {
    const [command = '', second = ''] = words;
    expect({ path, command, known: new RegExp(`^  ${command}( |$)`, 'm').test(await help()) }).toMatchObject({
      known: true,
    });
    const nested = command === 'parked' && second !== '' ? [command, second] : [command];
    for (const option of options) expect(await help(...nested)).toContain(option);
  }
});

test('every npm script that is named is there', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
  const named = PAGES.flatMap(({ text }) =>
    [...text.matchAll(/npm run ([a-z:]+[a-z])/g)].map(([, name]) => name),
  );
  for (const name of ['start', 'test', ...named]) expect(scripts).toHaveProperty([name ?? '']);
});

test('the table of settings is what the service reads, with its defaults', () => {
  const operations = textOf('docs/operations.md');
  const section = operations.slice(operations.indexOf('## Configuration'));
  const rows = [...section.matchAll(/^\| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\|/gm)];
  const source = readFileSync(join(ROOT, 'src', 'config.ts'), 'utf8');
  const read = [...source.matchAll(/^ {2}([A-Z_]+): /gm)].map(([, name]) => name);
  expect(rows.map(([, name]) => name)).toEqual(read);
  const config = loadConfig(Object.fromEntries(rows.map(([, name, value]) => [name, value ?? ''])));
  expect(config).toEqual(loadConfig({}));
});

test('the table of events names every event there is', () => {
  const types = ['authors/author.events.ts', 'books/book.events.ts'].flatMap((file) =>
    [...readFileSync(join(ROOT, 'src', file), 'utf8').matchAll(/type: '(\w+)'/g)].map(([, type]) => type),
  );
  const [, section = ''] = textOf('docs/architecture.md').split('\n## Events\n');
  const [table = ''] = section.split('\n## ');
  expect([...table.matchAll(/^\| `([A-Z]\w+)` \|/gm)].map(([, type]) => type).toSorted()).toEqual(
    types.toSorted(),
  );
});

test('every file that is linked is there', () => {
  for (const { path, text } of PAGES)
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g))
      expect([path, link, existsSync(join(ROOT, dirname(path), link))]).toEqual([path, link, true]);
});

test('no sentence has more than 25 words', () => {
  // Decisions are records: they stay as they were written.
  const pages = PAGES.filter(({ path }) => !path.startsWith(join('docs', 'decisions')));
  const long = pages.flatMap(({ path, text }) =>
    sentencesOf(text)
      .filter((sentence) => sentence.split(/\s+/).length > 25)
      .map((sentence) => `${path}: ${sentence}`),
  );
  expect(long).toEqual([]);
});

/** The prose of a page: without code, tables, headings and lists of links. */
function sentencesOf(markdown: string): string[] {
  return markdown
    .replace(/^```[\s\S]*?^```/gm, '')
    .replace(/^\|.*$/gm, '')
    .replace(/^#.*$/gm, '\n')
    .replace(/^- \[[^\]]*\]\([^)]*\).*(\n {2}.*)*$/gm, '')
    .split(/\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )/)
    .flatMap((paragraph) =>
      paragraph
        .replace(/`[^`]*`/g, 'code')
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .replace(/^\s*(?:[-*]|\d+\.) /, '')
        .replace(/\*\*/g, '')
        .split(/(?<=[.!?:])\s+/),
    )
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '');
}
