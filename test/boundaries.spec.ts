import { ESLint } from 'eslint';
import tseslint from 'typescript-eslint';
import { ROOT } from './support/process.js';

// Imports are looked at by their text alone: no types are needed.
const eslint = new ESLint({ cwd: ROOT, overrideConfig: [tseslint.configs.disableTypeChecked] });

/** What the linter says of one import in a file that is there. */
async function importing(file: string, source: string): Promise<string[]> {
  const [result] = await eslint.lintText(`import { x } from '${source}';\nexport const y = x;\n`, {
    filePath: file,
  });
  return (result?.messages ?? [])
    .filter(({ ruleId }) => ruleId?.endsWith('no-restricted-imports'))
    .map(({ message }) => message.replace(/^.*restricted from being used by a pattern\. /, ''));
}

const READ_SIDE =
  'The read side knows event types, the event store port, the Postgres helpers and HTTP, nothing else of src/.';
const ROOT_ONLY = 'Only the composition root joins the two sides.';
const PURE = 'Decisions are pure: no framework, no clock, no I/O.';
const ONE_STORE = 'Only the composition root picks an event store.';

test.each([
  ['projections/page.ts', '../src/authors/author.js', READ_SIDE],
  ['projections/catalogue/load.ts', '../../src/imports/importer.js', READ_SIDE],
  ['projections/projector.ts', '../src/event-store/postgres/postgres-event-store.js', READ_SIDE],
  ['projections/projector.ts', '../src/config.js', READ_SIDE],
  ['src/authors/remove-author.ts', '../../projections/page.js', ROOT_ONLY],
  ['src/cli.ts', '../projections/projector.js', ROOT_ONLY],
  ['src/authors/author.ts', '../../projections/page.js', ROOT_ONLY],
  ['src/authors/author.ts', '@nestjs/common', PURE],
  ['src/books/book.ts', 'node:crypto', PURE],
  ['src/books/book.ts', '../event-store/event-store.js', PURE],
  ['src/text.ts', 'pg', PURE],
  ['src/audit/replay.ts', '../event-store/postgres/log-reader.js', ONE_STORE],
  ['src/imports/importer.ts', '../event-store/memory/memory-event-store.js', ONE_STORE],
])('%s may not import %s', async (file, source, why) => {
  expect(await importing(file, source)).toContain(why);
});

test.each([
  ['projections/projector.ts', '../src/event-store/event-store.js'],
  ['projections/catalogue/fold.ts', '../../src/books/book.events.js'],
  ['projections/catalogue/load.ts', '../../src/postgres/database.js'],
  ['src/app.module.ts', '../projections/projector.js'],
  ['src/app.module.ts', './event-store/postgres/postgres-event-store.js'],
  ['src/authors/author.ts', '../domain-error.js'],
])('%s may import %s', async (file, source) => {
  expect(await importing(file, source)).toEqual([]);
});
