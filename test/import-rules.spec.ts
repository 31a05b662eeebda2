import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './support/process.js';

const run = promisify(execFile);

type Import = readonly [from: string, to: string, kind?: 'value'];
interface Violation {
  readonly from: string;
  readonly rule: { readonly name: string };
}

/** What the linter says of a tree that holds these imports, and nothing else. */
async function violations(imports: readonly Import[]): Promise<readonly Violation[]> {
  const folder = mkdtempSync(join(tmpdir(), 'colophon-imports-'));
  try {
    for (const path of ['node_modules', 'tsconfig.json', 'package.json', '.dependency-cruiser.js'])
      symlinkSync(join(ROOT, path), join(folder, path));
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text, { flag: 'a' });
    };
    for (const path of ['src/main.ts', 'projections/projection.ts']) write(path, '');
    imports.forEach(([from, to, kind], index) => {
      const isFile = to.endsWith('.ts');
      const specifier = isFile ? `./${relative(dirname(from), to).replace(/\.ts$/, '.js')}` : to;
      // A type is as much to know as a value.
      write(from, `import ${kind ? '' : 'type '}{ X as X${index} } from '${specifier}';\n`);
      write(from, kind ? `export const Y${index} = X${index};\n` : `export type Y${index} = X${index};\n`);
      if (isFile) write(to, '');
    });
    const command = join(ROOT, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
    const args = [command, 'src', 'projections', '--config', '.dependency-cruiser.js', '-T', 'json'];
    // It exits with the number of violations.
    const { stdout } = await run(process.execPath, args, { cwd: folder, maxBuffer: 1e8 }).catch(
      (error: unknown) => error as { stdout: string },
    );
    return (JSON.parse(stdout) as { summary: { violations: Violation[] } }).summary.violations;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const PROJECTIONS =
  'projections know only event types, the event store port, followers, errors, signals, and the Postgres and HTTP helpers';

const FORBIDDEN = [
  ['projections/a.ts', 'src/authors/author.ts', PROJECTIONS],
  ['projections/catalogue/b.ts', 'src/imports/importer.ts', PROJECTIONS],
  ['projections/c.ts', 'src/config.ts', PROJECTIONS],
  ['projections/build/d.ts', 'src/audit/audit-event.ts', PROJECTIONS],
  ['projections/build/e.ts', 'src/operations/skip-event.ts', PROJECTIONS],
  ['src/authors/e.ts', 'projections/page.ts', 'src does not know projections'],
  ['src/service.ts', 'projections/projector.ts', 'src does not know projections'],
  ['src/http/f.ts', 'src/books/roles.ts', 'http and postgres know no feature'],
  ['src/postgres/g.ts', 'src/audit/replay.ts', 'http and postgres know no feature'],
  ['src/followers/h.ts', 'src/policies/removals.ts', 'followers know no feature'],
  ['src/event-store/i.ts', 'src/books/book.events.ts', 'the event store knows no feature'],
  ['src/authors/author.ts', '@nestjs/common', 'decisions are pure'],
  ['src/books/book.ts', 'node:crypto', 'decisions are pure'],
  ['src/books/roles.ts', 'src/event-store/event-store.ts', 'decisions are pure'],
  ['src/operations/operations.ts', '@nestjs/common', 'decisions are pure'],
  ['src/authors/author-reversal.ts', '@nestjs/common', 'decisions are pure'],
  ['src/books/book-reversal.ts', 'src/authors/authors.ts', 'decisions are pure'],
  ['src/books/book-cascade.ts', 'src/event-store/event-store.ts', 'decisions are pure'],
  ['src/changes/provenance.ts', 'src/changes/change-progress.ts', 'decisions are pure'],
  ['src/text.ts', 'pg', 'decisions are pure'],
  ['src/signals.ts', 'src/errors.ts', 'signals know nobody'],
  ['src/commands/m.ts', 'prom-client', 'only telemetry knows the library of metrics'],
  ['src/event-store/n.ts', 'src/telemetry/metrics.ts', 'the event store knows no feature'],
  ['src/audit/j.ts', 'src/event-store/postgres/log-reader.ts', 'only resources picks an event store'],
  ['src/cli/k.ts', 'src/event-store/memory/store.ts', 'only resources picks an event store'],
  [
    'src/event-store/postgres/l.ts',
    'src/event-store/memory/store.ts',
    'adapters of the event store do not know each other',
  ],
] as const;

describe('an import', () => {
  let found: readonly Violation[];
  beforeAll(async () => {
    found = await violations(FORBIDDEN.map(([from, to]) => [from, to]));
  });

  test.each(FORBIDDEN)('%s may not import %s', (from, _, rule) => {
    expect(found.filter((one) => one.from === from).map((one) => one.rule.name)).toContain(rule);
  });
});

test('files may not import each other in a circle', async () => {
  const found = await violations([
    ['src/http/a.ts', 'src/http/b.ts', 'value'],
    ['src/http/b.ts', 'src/http/a.ts', 'value'],
  ]);
  expect(found.map((one) => one.rule.name)).toContain('files do not import each other in a circle');
});

test('what the design allows is allowed', async () => {
  const found = await violations([
    ['projections/projector.ts', 'src/event-store/event-store.ts'],
    ['projections/projector.ts', 'src/followers/follower.ts'],
    ['projections/catalogue/fold.ts', 'src/books/book.events.ts'],
    ['projections/skips.ts', 'src/operations/operations.events.ts'],
    ['projections/catalogue/views.ts', 'src/books/role-schemas.ts'],
    ['projections/catalogue/load.ts', 'src/postgres/database.ts'],
    ['projections/retry-parked.ts', 'src/errors.ts'],
    ['projections/projector.ts', 'src/signals.ts'],
    ['src/event-store/told.ts', 'src/signals.ts'],
    ['src/telemetry/metrics.ts', 'prom-client'],
    ['src/app.module.ts', 'projections/projections.module.ts'],
    ['src/resources.ts', 'src/event-store/postgres/postgres-event-store.ts'],
    ['src/cli/rebuild.ts', 'projections/build/build.ts'],
    ['src/authors/author.ts', 'src/domain-error.ts'],
  ]);
  expect(found).toEqual([]);
});
