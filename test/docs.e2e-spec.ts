import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { TooManyWait, TooMuchContention } from '../src/commands/keyed-queue.js';
import { loadConfig } from '../src/config.js';
import { caughtUp } from './support/catalogue.js';
import { allCommands, commandsIn, help } from './support/command-line.js';
import { sql } from './support/database.js';
import { ownerUrlOf } from './support/embedded.js';
import { createLog, type TestLog } from './support/log.js';
import { environment, ROOT, startService, type RunningService } from './support/process.js';
import { send } from './support/service.js';

const run = promisify(execFile);
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const filesIn = (folder: string, ending: string) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file))
    .toSorted();
/** What people read, by its path. The README comes first: the other pages go on with what its commands made. */
const PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...filesIn('docs', '.md')].map((path) => ({
  path,
  text: read(path),
}));
const textOf = (path: string) => PAGES.find((page) => page.path === path)?.text ?? '';
const README = textOf('README.md');

/** The part of a page under a heading, up to the next heading of the same or a higher level. */
function section(path: string, heading: string): string {
  const [, after] = textOf(path).split(`\n${heading}\n`);
  if (after === undefined) throw new Error(`${path} has no ${heading}`);
  const level = heading.indexOf(' ');
  return after.split(new RegExp(`\n#{1,${level}} `))[0] ?? '';
}

/** The cells of each row of the tables in a text, without the heads. */
const rowsOf = (text: string): string[][] =>
  [...text.matchAll(/^\|(?!---)(.*)\|$(?!\n\|---)/gm)].map(([, row = '']) =>
    row.split('|').map((cell) => cell.trim()),
  );
const quotedIn = (text = ''): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, quoted = '']) => quoted);

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

describe('commands', () => {
  /** Positions, and ids that the server makes: different each time, but the same thing keeps its name. */
  const NAMES = /\b\d+\.[\da-f]{8}\b|\b(?!018f3c3a)[\da-f]{8}-[\da-f]{4}-7[\da-f-]{17,}/g;
  /** Progress is told while the work lasts, as often as there is time. */
  const PROGRESS = /^(reading|loading|indexing|catching up|verifying|applying)(: .*)?\n/gm;
  const steady = (text: string) =>
    text
      .replace(PROGRESS, '')
      .trim()
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
      .replace(/in \d+\.\d s/g, 'in <time>')
      .replace(NAMES, '<name>');

  const examplesOf = (text: string) =>
    [...text.matchAll(/```console\n\$ (.*)\n([^`]*)```/g)].map(([, command = '', output = '']) => ({
      command,
      output,
    }));

  test('the first screen shows a command for each use', () => {
    expect(examplesOf(README).map(({ command }) => command.split(' ')[0])).toEqual([
      'curl',
      'curl',
      'curl',
      'npx',
    ]);
  });

  test('every command whose answer is shown answers so', async () => {
    const examples = PAGES.flatMap(({ text }) => examplesOf(text));
    expect(examples.length).toBe(PAGES.flatMap(({ text }) => text.match(/```console/g) ?? []).length);
    // What the pages call 1.9f3a2c1b has another name in this log.
    const names = new Map<string, string>();
    for (const { command, output } of examples) {
      // A person is slower than the projection.
      await caughtUp({ request: (method, path, options) => send(`${service.url}${path}`, method, options) });
      const here = command
        .replace('localhost:3000', service.url)
        .replace('npx colophon', `${process.execPath} bin/colophon.js`)
        .replace(NAMES, (name) => names.get(name) ?? name);
      const { stdout, stderr } = await run('sh', ['-c', here], { cwd: ROOT, env: environment(env) });
      const answer = stdout + stderr;
      expect(steady(answer)).toBe(steady(output));
      const actual = answer.match(NAMES) ?? [];
      for (const [index, shown] of (output.match(NAMES) ?? []).entries()) {
        const name = actual[index] ?? '';
        // The same name on the pages means the same event or command.
        expect({ shown, name: names.get(shown) ?? name }).toEqual({ shown, name });
        names.set(shown, name);
      }
    }
  });

  test('every SQL statement that is shown runs: a query by the login that the others create', async () => {
    const owner = ownerUrlOf(env['DATA_DIR'] ?? '');
    const statements = PAGES.flatMap(({ text }) =>
      [...text.matchAll(/```sql\n([^`]*)```/g)].map(([, statement = '']) => statement),
    );
    const isQuery = (statement: string) => statement.startsWith('select');
    expect(new Set(statements.map(isQuery)).size).toBe(2);
    // As on a server that Colophon has not made.
    await sql(owner, 'drop owned by catalogue_reader', 'drop role catalogue_reader');
    await sql(owner, ...statements.filter((statement) => !isQuery(statement)));
    const settings = environment({ ...env, DATABASE_URL: owner });
    await run(process.execPath, ['bin/colophon.js', 'migrate'], { cwd: ROOT, env: settings });
    const url = new URL(owner);
    [url.username, url.password] = ['catalogue_reader', 'choose-a-password'];
    expect((await sql(url.href, ...statements.filter(isQuery))).length).toBeGreaterThan(0);
  });

  test('every other command that is shown can be given', async () => {
    const shown = PAGES.flatMap(({ path, text }) => {
      const lines = [...text.matchAll(/```(?:sh|console)\n([^`]*)```/g)].flatMap(([, block = '']) =>
        [...block.matchAll(/(?:npx colophon|bin\/colophon\.js) ([^|<>&\n]*)/g)].map(([, args = '']) => args),
      );
      const named = quotedIn(text).flatMap((quoted) => /^(?:npx )?colophon (.*)/.exec(quoted)?.[1] ?? []);
      return [
        ...lines.map((args) => ({ path, args, complete: true })),
        ...named.map((args) => ({ path, args, complete: false })),
      ];
    });
    expect(shown.length).toBeGreaterThan(20);
    const known = await allCommands();
    for (const { path, args, complete } of shown) {
      const words = args.trim().split(/\s+/);
      if (words[0] === '--help') continue;
      const found = known.find((name) => name.every((word, index) => words[index] === word));
      // A sentence may name a group, such as `colophon parked`.
      if (!found && !complete && commandsIn(await help(words[0] ?? '')).length > 0) continue;
      expect({ path, args, known: found !== undefined }).toEqual({ path, args, known: true });
      const text = await help(...(found ?? []));
      const options = new Map(
        [...text.matchAll(/^ +(?:-\w, )?(--[a-z-]+)( [<[]\w+[>\]])?/gm)].map(([, name = '', value]) => [
          name,
          value,
        ]),
      );
      let given = 0;
      const rest = words.slice(found?.length);
      for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
        if (!word.startsWith('--')) given += 1;
        else {
          expect({ path, args, word, known: options.has(word) }).toEqual({ path, args, word, known: true });
          if (options.get(word) !== undefined && rest.shift() === undefined && complete)
            throw new Error(`${path}: ${args}: ${word} needs a value`);
        }
      }
      const wanted = /^Usage: .*$/m.exec(text)?.[0].match(/<\w+>|\[file\]/g)?.length ?? 0;
      if (complete) expect({ path, args, given }).toEqual({ path, args, given: wanted });
    }
  });

  test('the exit codes of every command are told', async () => {
    const named = rowsOf(section('docs/operations.md', '## Exit codes')).flatMap(([program]) =>
      quotedIn(program),
    );
    const known = (await allCommands()).map((name) => name.join(' '));
    expect(named.filter((name) => !name.includes('…')).toSorted()).toEqual(
      expect.arrayContaining(known.toSorted()),
    );
  });
});

describe('pages', () => {
  test('the README fits on a screen or two', () => {
    expect(README.trim().split('\n').length).toBeLessThanOrEqual(120);
  });

  test('every npm script that is named is there, and every benchmark is named', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: object };
    const named = PAGES.flatMap(({ text }) =>
      [...text.matchAll(/npm run ([a-z:]+[a-z])/g)].map(([, name]) => name),
    );
    for (const name of ['start', 'test', ...named]) expect(scripts).toHaveProperty([name ?? '']);
    for (const name of Object.keys(scripts).filter((script) => script.startsWith('bench:')))
      expect(textOf('docs/performance.md')).toContain(`npm run ${name}\``);
  });

  test('every file that is linked or named is there, and every heading', () => {
    /** As GitHub makes them. */
    const anchorsOf = (text: string) =>
      [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replace(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      );
    for (const { path, text } of PAGES) {
      for (const [, link = '', anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
        const target = link === '' ? path : join(dirname(path), link);
        expect([path, link, existsSync(join(ROOT, target))]).toEqual([path, link, true]);
        if (anchor !== undefined) expect(anchorsOf(textOf(target))).toContain(anchor);
      }
      for (const name of quotedIn(text))
        if (/^(src|projections|test|docs|samples|bin)\/[\w./-]*$/.test(name))
          expect([path, name, existsSync(join(ROOT, name))]).toEqual([path, name, true]);
    }
  });

  test('no sentence has more than 25 words', () => {
    const long = PAGES.flatMap(({ path, text }) =>
      sentencesOf(text)
        .filter((sentence) => wordsOf(sentence) > 25)
        .map((sentence) => `${path}: ${wordsOf(sentence)} words: ${sentence}`),
    );
    expect(long).toEqual([]);
  });

  test('sentences are found', () => {
    const page = [
      '# A heading. No sentence.',
      '',
      'One is on',
      'two lines. Version 23.10 of `a.b c` is [a link](x.md); three? **Four.** Five!',
      '- an item',
      '  goes on',
      '  1. a step',
      '',
      '```sh',
      'no sentence. none',
      '```',
      '| no | sentence. |',
    ].join('\n');
    expect(sentencesOf(page)).toEqual([
      'One is on two lines.',
      'Version 23.10 of code is a link;',
      'three?',
      'Four.',
      'Five!',
      'an item goes on',
      'a step',
    ]);
  });
});

describe('tables on the pages', () => {
  test('the settings are what the service reads, with their defaults', () => {
    const rows = rowsOf(section('docs/operations.md', '## Configuration')).map(([variable, fallback]) => [
      quotedIn(variable)[0] ?? '',
      quotedIn(fallback)[0] ?? '',
    ]);
    const known = [...read('src/config.ts').matchAll(/^ {2}([A-Z_]+): /gm)].map(([, name]) => name);
    expect(rows.map(([name]) => name)).toEqual(known);
    expect(loadConfig(Object.fromEntries(rows) as Record<string, string>)).toEqual(loadConfig({}));
  });

  test('the events are all there are, with their data', () => {
    const [events = [], metadata = []] = section('docs/architecture.md', '## Events')
      .split('The metadata of every event')
      .map(rowsOf);
    const types = ['authors/author', 'books/book', 'changes/change', 'operations/operations'].flatMap(
      (name) => [...read(`src/${name}.events.ts`).matchAll(/type: '(\w+)'/g)].map(([, type]) => type),
    );
    expect(events.map(([type]) => quotedIn(type)[0]).toSorted()).toEqual(types.toSorted());
    // The bytes of every event there is.
    const lines = filesIn('test/event-store/fixtures', '.ndjson').flatMap((file) =>
      read(file).trim().split('\n'),
    );
    for (const type of types) {
      const fields = lines
        .map((text) => JSON.parse(text) as { type: string; data: string })
        .filter((line) => line.type === type)
        .flatMap(({ data }) => Object.keys(JSON.parse(data) as object));
      const [, data] = events.find(([name]) => quotedIn(name)[0] === type) ?? [];
      expect([type, quotedIn(data).toSorted()]).toEqual([type, [...new Set(fields)].toSorted()]);
    }
    const [, fields = ''] =
      /interface EventMetadata \{([\s\S]*?)\n\}/.exec(read('src/event-store/event-store.ts')) ?? [];
    expect(metadata.map(([field]) => quotedIn(field)[0]).toSorted()).toEqual(
      [...fields.matchAll(/readonly (\w+)\??:/g)].map(([, name]) => name).toSorted(),
    );
  });

  test('the columns are those of the tables', () => {
    const source = filesIn('projections', 'tables.sql')
      .filter((file) => !file.includes('build'))
      .map(read)
      .join('\n');
    const tables = [...source.matchAll(/create table (\w+) \(\n([\s\S]*?)\n\);/g)];
    expect(tables.length).toBeGreaterThan(6);
    for (const [, table = '', body = ''] of tables) {
      const columns = body
        .split('\n')
        .map((line) => /^ +(\w+) +([\w[\]]+)/.exec(line)?.slice(1))
        .filter((column) => column !== undefined);
      const heading = table === 'removed' ? '### Other tables' : `### \`${table}\``;
      const shown = rowsOf(section('docs/tables.md', heading));
      expect([table, shown.map(([name, type]) => [quotedIn(name)[0], type])]).toEqual([table, columns]);
    }
  });

  test('the import rules are those of the linter', async () => {
    const { default: rules } = (await import(join(ROOT, '.dependency-cruiser.js'))) as {
      default: { forbidden: { name: string }[] };
    };
    expect(rowsOf(section('docs/architecture.md', '## Import rules')).map(([rule]) => rule)).toEqual(
      rules.forbidden.map(({ name }) => name),
    );
  });

  test('every 503 is told, with its detail', () => {
    const details = [...filesIn('src', '.ts'), ...filesIn('projections', '.ts')]
      .flatMap((file) => [...read(file).matchAll(/\bunavailable\(\s*(['`])(.*?)\1/gs)])
      .flatMap(([, , detail = '']) =>
        detail.includes('${kind}')
          ? ['author', 'book'].map((kind) => detail.replace('${kind}', kind))
          : [detail],
      )
      .concat(new TooMuchContention().message, new TooManyWait().message);
    const shown = rowsOf(section('docs/operations.md', '## Every 503')).map(([detail]) => detail);
    expect(shown.toSorted()).toEqual([...new Set(details)].toSorted());
  });
});

const wordsOf = (sentence: string): number => sentence.split(/\s+/).length;

/** The prose of a page: without code, tables and headings. An item of a list ends a sentence. */
function sentencesOf(markdown: string): string[] {
  return markdown
    .replace(/^```[\s\S]*?^```/gm, '')
    .replace(/^\|.*$/gm, '')
    .replace(/^#.*$/gm, '\n')
    .split(/\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )/)
    .flatMap((paragraph) =>
      paragraph
        .replace(/`[^`]*`/g, 'code')
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .replace(/\*+/g, '')
        .trim()
        .replace(/^(?:-|\d+\.) /, '')
        .replace(/\s+/g, ' ')
        .split(/(?<=[.!?;])\s/),
    )
    .filter((sentence) => sentence !== '');
}
