import { randomUUID } from 'node:crypto';
import { newEvent } from '../../test/support/events.js';
import { bookStream } from '../books/book.events.js';
import type { CommandContext } from '../commands/command-context.js';
import { CommandHandling } from '../commands/handle-command.js';
import type { IdempotencyKeys } from '../commands/idempotency-keys.js';
import { StreamDeleted } from '../event-store/event-store.js';
import { MemoryEventStore } from '../event-store/memory/memory-event-store.js';
import { authorStream } from './author.events.js';
import { Authors } from './authors.js';
import type { BooksOfAuthor } from './books-of-author.js';
import { Previews } from './preview.js';

class Store extends MemoryEventStore {
  deleted = '';

  override async readStream(...of: Parameters<MemoryEventStore['readStream']>) {
    if (of[0] === this.deleted) throw new StreamDeleted(this.deleted);
    return super.readStream(...of);
  }
}

const store = new Store();
const authors = new Authors(new CommandHandling(store, undefined as unknown as IdempotencyKeys));
const [author, other] = [randomUUID(), randomUUID()];

const link = (authorId: string, position = 1) =>
  newEvent('BookLinked', { authorId, position, roles: ['author'], creditedAs: null });
const add = async (title: string, ...events: ReturnType<typeof newEvent>[]) => {
  const id = randomUUID();
  await store.append(bookStream(id), 'no-stream', [newEvent('BookAdded', { title }), ...events]);
  return id;
};
const request = () => {
  const commandId = randomUUID();
  const context: CommandContext = { commandId, actor: 'clerk', correlationId: commandId };
  return { context, page: { limit: 50 }, caller: new AbortController().signal };
};

test('a preview says what each stream gives, also of books that the tables show otherwise', async () => {
  for (const id of [author, other])
    await store.append(authorStream(id), 'no-stream', [newEvent('AuthorAdded', { name: 'Old' })]);
  const linked = await add('Linked', link(author));
  const left = await add('Left', link(author), newEvent('BookUnlinked', { authorId: author }));
  const removed = await add('Removed', link(author), newEvent('BookRemoved', {}));
  const restored = await add(
    'Restored',
    link(author),
    newEvent('BookRemoved', {}),
    newEvent('BookRestored', {
      title: 'Restored',
      authors: [{ authorId: author, roles: ['author'], creditedAs: null }],
    }),
  );
  const foreign = await add('Foreign', link(author), newEvent('BookPainted', {}));
  const deleted = randomUUID();
  store.deleted = bookStream(deleted);
  const ids = [linked, left, removed, restored, foreign, deleted];
  const booksOfAuthor: BooksOfAuthor = {
    count: async () => ids.length,
    page: async () => ({ ids, next: 'more' }),
  };
  const previews = new Previews(authors, booksOfAuthor, store);
  const head = await store.head();
  const unread = {
    id: foreign,
    title: 'Foreign',
    does: 'parked',
    why: expect.stringContaining("can't read the BookPainted") as string,
  };
  const gone = { id: deleted, title: '', does: 'parked', why: new StreamDeleted(store.deleted).message };
  const parked = [unread, gone];
  expect(await previews.removal({ id: author, books: 'unlink' }, request())).toEqual({
    dryRun: true,
    items: [
      { id: linked, title: 'Linked', does: 'unlinked' },
      { id: restored, title: 'Restored', does: 'unlinked' },
      ...parked,
    ],
    next: 'more',
  });
  const relinked = { does: 'relinked', position: 1, roles: ['author'], creditedAs: 'Old' };
  expect(await previews.merge({ id: author, into: other }, request())).toEqual({
    dryRun: true,
    items: [
      { id: linked, title: 'Linked', ...relinked },
      { id: restored, title: 'Restored', ...relinked },
      ...parked,
    ],
    next: 'more',
  });
  await expect(previews.removal({ id: author, books: undefined }, request())).rejects.toMatchObject({
    rule: 'author-has-books',
  });
  expect(await store.head()).toBe(head);
});
