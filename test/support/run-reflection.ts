import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printedUrl } from './embedded.js';
import { install } from './postgres-server.js';
import { ROOT, startService } from './process.js';

// `npm run test:reflection`: what the tools that read the tables of a database find in those of Colophon, by the login
// that the start prints. `-- schema` names another schema than `catalogue`. The tools for Python need the packages of
// `requirements.txt`; PYTHON names the program.

const FOLDER = join(ROOT, 'test', 'reflection');
const SCHEMA = process.argv[2] ?? 'catalogue';
const PYTHON = process.env['PYTHON'] ?? 'python3';

interface Tool {
  readonly name: string;
  /** The program and its arguments. It prints what it found, or writes files to the folder `out`. */
  readonly command: (url: URL, out: string) => readonly [string, ...string[]];
  /** The three tables, their primary keys, and the two references of `author_book`. */
  readonly finds: readonly RegExp[];
}

const npm = (program: string) => join(FOLDER, 'node_modules', '.bin', program);

const TOOLS: readonly Tool[] = [
  {
    name: 'drizzle-kit pull',
    command: (url, out) => [
      npm('drizzle-kit'),
      'pull',
      '--dialect=postgresql',
      `--url=${url.href}`,
      `--schemaFilters=${SCHEMA}`,
      `--out=${out}`,
    ],
    finds: [
      /export const authorsIn\w+ = \w+\.table\("authors", \{\s+id: uuid\(\)\.primaryKey\(\)/,
      /export const booksIn\w+ = \w+\.table\("books", \{\s+id: uuid\(\)\.primaryKey\(\)/,
      /columns: \[table\.authorId\],\s+foreignColumns: \[authorsIn\w+\.id\]/,
      /columns: \[table\.bookId\],\s+foreignColumns: \[booksIn\w+\.id\]/,
      /primaryKey\(\{ columns: \[table\.authorId, table\.bookId\]/,
    ],
  },
  {
    name: 'prisma db pull',
    command: (url, out) => {
      writeFileSync(join(out, 'schema.prisma'), 'datasource db {\n  provider = "postgresql"\n}\n');
      const target = new URL(url);
      target.searchParams.set('schema', SCHEMA);
      const config = {
        schema: join(out, 'schema.prisma'),
        datasource: { url: target.href },
      };
      writeFileSync(join(out, 'prisma.config.mjs'), `export default ${JSON.stringify(config)};\n`);
      return [npm('prisma'), 'db', 'pull', '--config', join(out, 'prisma.config.mjs')];
    },
    finds: [
      /model authors \{\s+id +String +@id/,
      /model books \{\s+id +String +@id/,
      /authors +authors +@relation\(fields: \[author_id\], references: \[id\]/,
      /books +books +@relation\(fields: \[book_id\], references: \[id\]/,
      /@@id\(\[author_id, book_id\]\)/,
    ],
  },
  {
    name: 'typeorm-model-generator',
    command: ({ hostname, port, username, password, pathname }, out) => [
      npm('typeorm-model-generator'),
      ...['--host', hostname, '--port', port, '--user', username, '--pass', password],
      ...['--database', pathname.slice(1), '--schema', SCHEMA, '--engine', 'postgres'],
      ...['--output', out, '--noConfig'],
    ],
    finds: [
      /@Column\("uuid", \{ primary: true, name: "id" \}\)/,
      /@Column\("uuid", \{ primary: true, name: "author_id" \}\)/,
      /@ManyToOne\(\(\) => Authors, [^@]*@JoinColumn\(\[\{ name: "author_id", referencedColumnName: "id" \}\]\)/,
      /@ManyToOne\(\(\) => Books, [^@]*@JoinColumn\(\[\{ name: "book_id", referencedColumnName: "id" \}\]\)/,
    ],
  },
  {
    name: 'SQLAlchemy automap',
    command: ({ href }) => [PYTHON, join(FOLDER, 'automap.py'), href, SCHEMA],
    finds: [
      /^authors key id$/m,
      /^books key id$/m,
      /^author_book key author_id,book_id$/m,
      /^author_book refers to \w+\.authors$/m,
      /^author_book refers to \w+\.books$/m,
    ],
  },
  {
    name: 'Django inspectdb',
    command: ({ href }) => [PYTHON, join(FOLDER, 'inspectdb.py'), href, SCHEMA],
    finds: [
      /class Authors\(models\.Model\):\s+id = models\.UUIDField\(primary_key=True\)/,
      /class Books\(models\.Model\):\s+id = models\.UUIDField\(primary_key=True\)/,
      // Before version 5.2, Django knows no keys of several columns, and takes the first column.
      /class AuthorBook\(models\.Model\):[^]*author = models\.(OneToOneField|ForeignKey)\('?Authors/,
      /class AuthorBook\(models\.Model\):[^]*book = models\.ForeignKey\('?Books/,
    ],
  },
];

/** What a tool says that can't be had here: a module of Python, or an engine that is downloaded at the first use. */
const MISSING = /No module named '?\w+|ENOENT|ECONNREFUSED|EAI_AGAIN|ENOTFOUND|Failed to fetch/;

install(FOLDER);
const folder = mkdtempSync(join(tmpdir(), 'colophon-reflection-'));
chmodSync(folder, 0o755);
const service = await startService({ DATA_DIR: join(folder, 'data') });
try {
  for (const { name, command, finds } of TOOLS) {
    const out = mkdtempSync(join(folder, 'out-'));
    const [program, ...args] = command(new URL(printedUrl(service)), out);
    const { stdout, stderr, error } = spawnSync(program, args, {
      cwd: out,
      encoding: 'utf8',
      timeout: 120_000,
    });
    const said = [error?.message, stdout, stderr].join('\n');
    const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const found = [
      said,
      ...files.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8')),
    ].join('\n');
    const lacking = finds.filter((pattern) => !pattern.test(found));
    const missing = lacking.length > 0 ? MISSING.exec(said)?.[0] : undefined;
    if (lacking.length === 0) console.log(`${name}: found the tables and their keys`);
    else if (missing !== undefined) console.log(`${name}: not run: ${missing}`);
    else {
      console.log(`${name}: lacks ${lacking.join(' and ')}\n${found}`);
      process.exitCode = 1;
    }
  }
} finally {
  service.process.kill('SIGTERM');
  await service.ended;
  rmSync(folder, { recursive: true, force: true });
}
