import { newEvent } from '../../test/support/events.js';
import { authorStream } from '../authors/author.events.js';
import { Authors } from '../authors/authors.js';
import { bookStream } from '../books/book.events.js';
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

/** Counts the reads of streams. */
class Observed extends MemoryEventStore {
  reads = 0;

  override readStream(...of: Parameters<MemoryEventStore['readStream']>) {
    this.reads += 1;
    return super.readStream(...of);
  }
}

const store = new Observed();
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

test('after a merge, the same lines take the survivor and change nothing, and few reads tell', async () => {
  const book = (key: string) => ({ type: 'book', key, title: key, authors: [{ author: 'old' }] });
  const lines = [{ ...author(0, 'Old'), key: 'old' }, author(4), book('A'), book('B')];
  const [old, survivor, a] = (await run(lines, false)).map(({ id }) => String(id));
  const merged = [newEvent('AuthorMerged', { into: survivor })];
  await store.append(authorStream(String(old)), 0n, merged);
  const redirected = [{ from: old, to: survivor }];
  // The policy has changed one book so far.
  const relinked = { from: old, authorId: survivor, position: 1, roles: ['author'], creditedAs: 'Old' };
  await store.append(bookStream(String(a)), 1n, [newEvent('BookRelinked', relinked)]);
  for (const dry of [true, false]) {
    const results = await run(lines, dry);
    expect(results.map(({ status }) => status)).toEqual(lines.map(() => 'unchanged'));
    expect(results.map((result) => result.redirected)).toEqual([
      redirected,
      undefined,
      redirected,
      undefined,
    ]);
  }
  store.reads = 0;
  const added = await run(
    Array.from({ length: 50 }, (_, n) => book(`New ${n}`)),
    false,
  );
  expect(added.every((result) => result.status === 'added' && result.redirected?.[0]?.to === survivor)).toBe(
    true,
  );
  // Each book may be read once. The merged author and the survivor are read once in all.
  expect(store.reads).toBeLessThanOrEqual(50 + 2);
});

test('after a revert, the same lines bring everything back, and then change what differs', async () => {
  const lines = [
    { ...author(0, 'Back'), key: 'back' },
    { type: 'book', key: 'back', title: 'Back', authors: [{ author: 'back' }] },
  ];
  const [one, two] = (await run(lines, false)).map(({ id }) => String(id));
  const streams = [bookStream(String(two)), authorStream(String(one))];
  const revert = async (revisions: readonly [bigint, bigint]) => {
    for (const [index, type] of ['BookRemoved', 'AuthorRemoved'].entries()) {
      const event = newEvent(type, {});
      const metadata = { ...event.metadata, reverts: 'import' };
      await store.append(String(streams[index]), revisions[index] ?? 0n, [{ ...event, metadata }]);
    }
  };
  await revert([1n, 0n]);
  const said = await run(lines, true);
  expect(said.map(({ changes }) => changes)).toEqual([['AuthorRestored'], ['BookRestored']]);
  expect((await run(lines, false)).map(({ status }) => status)).toEqual(['changed', 'changed']);
  expect((await run(lines, false)).map(({ status }) => status)).toEqual(['unchanged', 'unchanged']);
  await revert([3n, 2n]);
  const others = [
    { ...lines[0], name: 'Other' },
    { ...lines[1], title: 'Other' },
  ];
  expect((await run(others, true)).map(({ changes }) => changes)).toEqual([
    ['AuthorRestored', 'AuthorRenamed'],
    ['BookRestored', 'BookRetitled'],
  ]);
  expect((await run(others, false)).map(({ status }) => status)).toEqual(['changed', 'changed']);
});
