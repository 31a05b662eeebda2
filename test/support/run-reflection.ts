import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownerUrlOf, printedUrl } from './embedded.js';
import { install } from './postgres-server.js';
import { ROOT, startService } from './process.js';

// `npm run test:reflection`: what tools that read the tables of a database find in those of Colophon, by the login that
// the start prints. The tools in Python need the packages of `requirements.txt`. PYTHON names the program.

const FOLDER = join(ROOT, 'test', 'reflection');
const SCHEMA = 'catalogue';
const PYTHON = process.env['PYTHON'] ?? 'python3';

interface Tool {
  readonly name: string;
  /** By the owner of the server instead. */
  readonly byOwner?: true;
  /** The program and its arguments. It prints what it found, or writes files into the folder `out`. */
  readonly command: (url: URL, out: string) => readonly [string, ...string[]];
  /** The three tables, their primary keys, and the two references of `author_book`. */
  readonly finds: readonly RegExp[];
}

const npm = (program: string) => join(FOLDER, 'node_modules', '.bin', program);

const drizzle: Tool['command'] = ({ href }, out) => {
  const config = { dialect: 'postgresql', dbCredentials: { url: href }, schemaFilter: [SCHEMA], out };
  writeFileSync(join(out, 'drizzle.config.json'), JSON.stringify(config));
  return [npm('drizzle-kit'), 'pull', '--config=drizzle.config.json'];
};

const TOOLS: readonly Tool[] = [
  {
    // PostgreSQL shows the columns of a key in the view that drizzle-kit reads to the owner of the table only.
    name: 'drizzle-kit pull, without primary keys',
    command: drizzle,
    finds: [
      /export const authorsIn\w+ = \w+\.table\("authors", \{\s+id: uuid\(\)/,
      /export const booksIn\w+ = \w+\.table\("books", \{\s+id: uuid\(\)/,
      /columns: \[table\.authorId\],\s+foreignColumns: \[authorsIn\w+\.id\]/,
      /columns: \[table\.bookId\],\s+foreignColumns: \[booksIn\w+\.id\]/,
    ],
  },
  {
    name: 'drizzle-kit pull, by the owner',
    byOwner: true,
    command: drizzle,
    finds: [
      /export const authorsIn\w+ = \w+\.table\("authors", \{\s+id: uuid\(\)\.primaryKey\(\)/,
      /export const booksIn\w+ = \w+\.table\("books", \{\s+id: uuid\(\)\.primaryKey\(\)/,
      /columns: \[table\.authorId\],\s+foreignColumns: \[authorsIn\w+\.id\]/,
      /columns: \[table\.bookId\],\s+foreignColumns: \[booksIn\w+\.id\]/,
      /primaryKey\(\{ columns: \[table\.(authorId, table\.bookId|bookId, table\.authorId)\]/,
    ],
  },
  {
    name: 'prisma db pull',
    command: (_, out) => {
      const schema = join(out, 'schema.prisma');
      writeFileSync(schema, 'datasource db {\n  provider = "postgresql"\n  url = "postgresql://unused"\n}\n');
      return [
        npm('prisma'),
        'db',
        'pull',
        `--config=${join(FOLDER, 'prisma.config.mjs')}`,
        `--schema=${schema}`,
      ];
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

install(FOLDER);
const folder = mkdtempSync(join(tmpdir(), 'colophon-reflection-'));
chmodSync(folder, 0o755);
const service = await startService({ DATA_DIR: join(folder, 'data') });
try {
  for (const { name, byOwner, command, finds } of TOOLS) {
    const out = mkdtempSync(join(folder, 'out-'));
    const url = new URL(byOwner ? ownerUrlOf(join(folder, 'data')) : printedUrl(service));
    const [program, ...args] = command(url, out);
    const env = {
      ...process.env,
      DATABASE_URL: url.href,
      SCHEMA,
      // Prisma would download an engine that this command does not use.
      PRISMA_QUERY_ENGINE_LIBRARY: join(FOLDER, 'package.json'),
      CHECKPOINT_DISABLE: '1',
    };
    const { stdout, stderr, error } = spawnSync(program, args, {
      cwd: out,
      env,
      encoding: 'utf8',
      timeout: 120_000,
    });
    const said = [error?.message, stdout, stderr].join('\n');
    const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const found = [said, ...files.map((file) => readFileSync(join(file.parentPath, file.name), 'utf8'))].join(
      '\n',
    );
    const lacking = finds.filter((pattern) => !pattern.test(found));
    const missing = /No module named \S+|spawnSync \S+ ENOENT/.exec(said)?.[0];
    if (missing !== undefined) console.log(`${name}: not run: ${missing}`);
    else if (lacking.length === 0) console.log(`${name}: passed`);
    else {
      process.exitCode = 1;
      console.log(`${name}: failed: no ${lacking.join(', no ')}\n${found}`);
    }
  }
} finally {
  service.process.kill('SIGTERM');
  await service.ended;
  rmSync(folder, { recursive: true, force: true });
}
