import type { ProjectableEvent } from '../../src/event-store/event-store.js';
import { foldAuthor, foldBook, Inapplicable } from './fold.js';
import type { BookRow, LinkRow, Standing } from './rows.js';

const uuid = (n: number) => `00000000-0000-7000-8000-00000000000${n}`;
const at = (n: number) => new Date(n);

/** An event whose number is its revision and the millisecond of its time. */
const event = (stream: string, n: number, type: string, data: object): ProjectableEvent => ({
  stream: `${stream}-${uuid(0)}`,
  revision: BigInt(n),
  position: BigInt(n),
  id: uuid(n),
  type,
  data,
  metadata: { actor: `actor ${n}`, correlationId: 'c', causationId: 'c', schemaVersion: 1 },
  recordedAt: at(n),
});

describe('an author', () => {
  const live = foldAuthor(undefined, event('author', 0, 'AuthorAdded', { name: 'Twain' }));
  const merged = foldAuthor(live, event('author', 1, 'AuthorMerged', { into: uuid(1) }));

  test('who is merged is removed, and leads to another', () =>
    expect(merged).toEqual({
      removed: { id: uuid(0), revision: 1n, createdAt: at(0), removedAt: at(1), into: uuid(1) },
    }));

  test('who was merged can come back, and leads nowhere then', () => {
    const restored = foldAuthor(merged, event('author', 2, 'AuthorRestored', { name: 'Twain' }));
    expect(restored).toMatchObject({ row: { name: 'Twain', createdAt: at(0), updatedAt: at(2) } });
    expect(foldAuthor(restored, event('author', 3, 'AuthorRemoved', { books: 'unlink' }))).not.toHaveProperty(
      'removed.into',
    );
  });

  test.each([undefined, merged])('who is not there is not merged', (before) =>
    expect(() => foldAuthor(before, event('author', 2, 'AuthorMerged', { into: uuid(2) }))).toThrow(
      Inapplicable,
    ),
  );
});

describe('a link that another author takes over', () => {
  const link = (n: number): LinkRow => ({
    authorId: uuid(n),
    roles: ['author'],
    creditedAs: null,
    linkedAt: at(0),
    linkedBy: 'actor 0',
    eventId: uuid(9),
  });
  const bookOf = (...authors: number[]): Standing<BookRow> => ({
    row: {
      id: uuid(0),
      title: 'T',
      filedAs: null,
      sourceKey: null,
      revision: 0n,
      createdAt: at(0),
      updatedAt: at(0),
      links: authors.map(link),
    },
  });
  const relinked = (before: Standing<BookRow>, from: number, authorId: number, position: number) => {
    const data = { from: uuid(from), authorId: uuid(authorId), position, roles: ['editor'], creditedAs: 'C' };
    return foldBook(before, event('book', 1, 'BookRelinked', data));
  };
  const taken = (n: number): LinkRow => ({
    authorId: uuid(n),
    roles: ['editor'],
    creditedAs: 'C',
    linkedAt: at(1),
    linkedBy: 'actor 1',
    eventId: uuid(1),
  });

  test('is the other author’s from that event on', () =>
    expect(relinked(bookOf(1, 2, 3), 2, 4, 2)).toMatchObject({
      row: { revision: 1n, links: [link(1), taken(4), link(3)] },
    }));

  test('and that author’s own are one', () =>
    expect(relinked(bookOf(1, 2, 3), 1, 3, 1)).toMatchObject({ row: { links: [taken(3), link(2)] } }));

  test.each([
    [bookOf(1)],
    [undefined],
    [{ removed: { id: uuid(0), revision: 0n, createdAt: at(0), removedAt: at(0) } }],
  ])('must be there', (before) => expect(() => relinked(before, 2, 3, 1)).toThrow(Inapplicable));
});
