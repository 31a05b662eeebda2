import { Authors } from '../authors/authors.js';
import { Books } from '../books/books.js';
import { CommandHandling } from '../commands/handle-command.js';
import type { IdempotencyKeys } from '../commands/idempotency-keys.js';
import { MemoryEventStore } from '../event-store/memory/memory-event-store.js';
import { PositionTokens } from '../event-store/position-token.js';
import { Schemas } from '../http/schemas.js';
import { Room } from './dry-run.js';
import { Importer, type LineResult } from './importer.js';

const ROOM = 5_000;

class SmallImporter extends Importer {
  protected override readonly room = new Room(ROOM);
}

const store = new MemoryEventStore();
const handling = new CommandHandling(store, undefined as unknown as IdempotencyKeys);
const authors = new Authors(handling);
const importer = new SmallImporter(
  authors,
  new Books(handling, authors),
  new Schemas(1_000, new PositionTokens('')),
);

async function run(lines: readonly object[], dry: boolean): Promise<LineResult[]> {
  async function* input() {
    for (const line of lines) yield await Promise.resolve(Buffer.from(`${JSON.stringify(line)}\n`));
  }
  const results: LineResult[] = [];
  for await (const result of importer.run(input(), { actor: 'clerk', correlationId: 'import' }, dry))
    results.push(result);
  return results;
}
const author = (n: number, name = `Author ${n}`) => ({ type: 'author', key: n, name });
const named = (count: number) => Array.from({ length: count }, (_, n) => author(n));

test('a dry run without room for another line ends with a result that says so', async () => {
  const results = await run(named(1_000), true);
  expect(results.length).toBeGreaterThan(5);
  expect(results.length).toBeLessThan(100);
  expect(results.slice(0, -1).every(({ status }) => status === 'added')).toBe(true);
  expect(results.at(-1)).toMatchObject({
    status: 'failed',
    error: { rule: 'dry-run-too-large', detail: expect.stringContaining('256 MiB') as string },
  });
  expect(await store.head()).toBeUndefined();
});

test('the room is free again when a dry run ends, and lines that change nothing take none', async () => {
  const few = named(5);
  for (let round = 0; round < 20; round += 1)
    expect((await run(few, true)).map(({ status }) => status)).toEqual(few.map(() => 'added'));
  const same = Array.from({ length: 1_000 }, () => author(1));
  expect((await run(same, true)).at(-1)).toMatchObject({ line: 1_000, status: 'unchanged' });
  const other = Array.from({ length: 1_000 }, (_, n) => author(1, `Name ${n}`));
  expect((await run(other, true)).at(-1)).toMatchObject({ status: 'changed', changes: ['AuthorRenamed'] });
});

test('the real run does what the dry run said', async () => {
  const lines = [
    author(1),
    author(2),
    { type: 'book', key: 1, title: 'One', authors: [{ author: 1 }, { author: 3 }] },
    { type: 'book', key: 2, title: 'Two', authors: [{ author: 1 }, { author: 2 }, { author: 1 }] },
    { type: 'book', key: 2, title: 'Two' },
    author(1, 'Other'),
    { type: 'book', key: 2, title: 'Two', authors: [] },
  ];
  const said = await run(lines, true);
  expect(said.map(({ status }) => status)).toEqual([
    'added',
    'added',
    'failed',
    'added',
    'unchanged',
    'changed',
    'changed',
  ]);
  expect(said.at(-1)?.changes).toEqual(['BookUnlinked', 'BookUnlinked']);
  expect(await store.head()).toBeUndefined();
  const done = await run(lines, false);
  const shown = ({ line, key, id, status, error }: LineResult) => ({ line, key, id, status, error });
  expect(done.map(shown)).toEqual(said.map(shown));
});
