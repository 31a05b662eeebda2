import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../src/config.js';
import { caughtUp } from './support/catalogue.js';
import { createLog, type TestLog } from './support/log.js';
import { environment, ROOT, startService, type RunningService } from './support/process.js';
import { send } from './support/service.js';

const run = promisify(execFile);
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

let folder: string;
let log: TestLog;
let service: RunningService;
let env: Record<string, string>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'colophon-readme-'));
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

const examples = [...README.matchAll(/```console\n\$ (.*)\n([^`]*)```/g)].map(([, command, output]) => [
  command ?? '',
  output ?? '',
]);

test('the first screen shows a command for each use', () => {
  expect(examples.map(([command]) => command?.split(' ')[0])).toEqual(['curl', 'curl', 'curl', 'npx']);
});

test('every command of the README answers as printed', async () => {
  for (const [command, printed] of examples) {
    // A person is slower than the projection.
    await caughtUp({ request: (method, path, options) => send(`${service.url}${path}`, method, options) });
    const here = (command ?? '')
      .replace('localhost:3000', service.url)
      .replace('npx colophon', `${process.execPath} bin/colophon.js`);
    const { stdout, stderr } = await run('sh', ['-c', here], { cwd: ROOT, env: environment(env) });
    expect(steady(stdout + stderr)).toBe(steady(printed ?? ''));
  }
});

test('the scripts it names are there', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
  const named = [...README.matchAll(/npm (run )?(ci|start|test|\w+:\w+|lint)\b/g)].map(([, , name]) => name);
  expect(named).toEqual(expect.arrayContaining(['ci', 'start', 'test', 'lint']));
  for (const name of named) if (name !== 'ci') expect(scripts).toHaveProperty([name ?? '']);
});

test('the table of settings is what the service reads, with its defaults', () => {
  const section = README.slice(README.indexOf('## Configuration'));
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
  const section = README.slice(README.indexOf('## Events'), README.indexOf('## Configuration'));
  expect([...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, type]) => type).toSorted()).toEqual(
    types.toSorted(),
  );
});

test('the files it links to are there', () => {
  for (const [, path] of README.matchAll(/\]\((?!http)([^)]+)\)/g))
    expect([path, existsSync(join(ROOT, path ?? ''))]).toEqual([path, true]);
});
