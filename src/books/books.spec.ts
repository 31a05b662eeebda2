import { randomUUID } from 'node:crypto';
import { newEvent } from '../../test/support/events.js';
import { authorStream } from '../authors/author.events.js';
import { Authors } from '../authors/authors.js';
import type { CommandContext } from '../commands/command-context.js';
import { CommandHandling } from '../commands/handle-command.js';
import type { IdempotencyKeys } from '../commands/idempotency-keys.js';
import { MemoryEventStore } from '../event-store/memory/memory-event-store.js';
import { bookStream } from './book.events.js';
import { Books } from './books.js';
import { ReorderAuthors, ReorderAuthorsHandler } from './reorder-authors.js';
import { UnlinkAuthor, UnlinkAuthorHandler } from './unlink-author.js';

const store = new MemoryEventStore();
const handling = new CommandHandling(store, undefined as unknown as IdempotencyKeys);
const books = new Books(handling, new Authors(handling));
const context = (): CommandContext => {
  const commandId = randomUUID();
  return { commandId, actor: 'clerk', correlationId: commandId };
};

describe('while a book still links a merged author', () => {
  const [old, survivor, other] = [randomUUID(), randomUUID(), randomUUID()];
  let book: string;
  const linksOf = async () => {
    const state = await books.load(book);
    return state.status === 'unknown' ? [] : state.links.map((link) => link.authorId);
  };
  beforeAll(async () => {
    for (const id of [old, survivor, other])
      await store.append(authorStream(id), 'no-stream', [newEvent('AuthorAdded', { name: 'A' })]);
    await store.append(authorStream(old), 0n, [newEvent('AuthorMerged', { into: survivor })]);
  });
  beforeEach(async () => {
    book = randomUUID();
    const link = (authorId: string, position: number) =>
      newEvent('BookLinked', { authorId, position, roles: ['author'], creditedAs: null });
    const events = [newEvent('BookAdded', { title: 'B' }), link(old, 1), link(other, 2), link(survivor, 3)];
    await store.append(bookStream(book), 'no-stream', events);
  });

  test('an order may leave the author out, or name the author', async () => {
    const reorder = (...ids: string[]) =>
      new ReorderAuthorsHandler(books).execute(new ReorderAuthors(book, ids, context()));
    expect(await reorder(survivor, other)).not.toHaveProperty('redirected');
    expect(await linksOf()).toEqual([old, survivor, other]);
    expect(await reorder(other, survivor, old)).not.toHaveProperty('redirected');
    expect(await linksOf()).toEqual([other, survivor, old]);
  });

  test('an unlinking takes the author out, and the next one the survivor', async () => {
    const unlink = () => new UnlinkAuthorHandler(books).execute(new UnlinkAuthor(book, old, context()));
    expect(await unlink()).not.toHaveProperty('redirected');
    expect(await linksOf()).toEqual([other, survivor]);
    expect(await unlink()).toMatchObject({ redirected: [{ from: old, to: survivor }] });
    expect(await linksOf()).toEqual([other]);
  });
});
