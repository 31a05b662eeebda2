import { act, historyOf, type Act } from '../../test/support/happened.js';
import type { BooksOfRemoved } from '../authors/author.events.js';
import { BookTooLarge, MAX_BOOK_BYTES } from './book.js';
import type { BookEvent, Link } from './book.events.js';
import { joinSurvivor, leaveRemovedAuthor } from './book-cascade.js';
import type { Role } from './roles.js';

const by = act<BookEvent>;
const title = 'Good Omens';
const added: BookEvent = { type: 'BookAdded', data: { title } };
const removed: BookEvent = { type: 'BookRemoved', data: {} };
const restored = (...authors: Link[]): BookEvent => ({ type: 'BookRestored', data: { title, authors } });
const link = (authorId: string, roles: Role[] = ['author'], creditedAs: string | null = null) => ({
  authorId,
  roles,
  creditedAs,
});
const linked = (position: number, ...rest: Parameters<typeof link>): BookEvent => ({
  type: 'BookLinked',
  data: { ...link(...rest), position },
});
const unlinked = (authorId: string): BookEvent => ({ type: 'BookUnlinked', data: { authorId } });
const relinked = (from: string, position: number, ...rest: Parameters<typeof link>): BookEvent => ({
  type: 'BookRelinked',
  data: { from, ...link(...rest), position },
});

describe('a book of an author who was removed', () => {
  /** @param at place of the removal among the events. */
  const leave = (books: BooksOfRemoved, at: number, ...acts: Act<BookEvent>[]) =>
    leaveRemovedAuthor(historyOf(acts), { authorId: 'a', at: BigInt(at), books });
  const alone = by('x', added, linked(1, 'a'));
  const both = by('x', added, linked(1, 'a'), linked(2, 'b'));

  test('loses the link', () => expect(leave('unlink', 2, alone)).toEqual([unlinked('a')]));
  test('is removed if the author is the only one, should that be so', () => {
    expect(leave('remove-sole-authored', 2, alone)).toEqual([removed]);
    expect(leave('remove-sole-authored', 3, both)).toEqual([unlinked('a')]);
  });
  test('is removed if all shall be', () => expect(leave('remove-all', 3, both)).toEqual([removed]));
  test('loses a link that raced the removal', () =>
    expect(leave('unlink', 1, alone)).toEqual([unlinked('a')]));
  test('loses a link that came by a relink', () =>
    expect(leave('unlink', 0, by('x', added, linked(1, 'b'), relinked('b', 1, 'a')))).toEqual([
      unlinked('a'),
    ]));
  test('that was restored before the removal loses the link', () =>
    expect(leave('unlink', 5, alone, by('y', removed, restored(link('a'))))).toEqual([unlinked('a')]));
  test('that was restored after the removal keeps the link, which waits for the author', () =>
    expect(leave('unlink', 2, alone, by('y', removed, restored(link('a'))))).toEqual([]));
  test('that was restored after the removal loses a link that was made later', () =>
    expect(
      leave('unlink', 2, alone, by('y', removed, restored(link('a')), unlinked('a'), linked(1, 'a'))),
    ).toEqual([unlinked('a')]));
  test('keeps a waiting link whose roles somebody changed', () =>
    expect(
      leave(
        'unlink',
        2,
        alone,
        by('y', removed, restored(link('a')), { type: 'BookLinkChanged', data: link('a', ['editor']) }),
      ),
    ).toEqual([]));
  test('stays as it is if it was removed, or does not link the author', () => {
    expect(leave('remove-all', 3, alone, by('y', removed))).toEqual([]);
    expect(leave('remove-all', 3, alone, by('y', unlinked('a')))).toEqual([]);
    expect(leave('remove-all', 3)).toEqual([]);
  });
});

describe('a book of an author who was merged', () => {
  const join = (...events: BookEvent[]) =>
    joinSurvivor(historyOf([by('x', added, ...events)]), { authorId: 'a', name: 'A. Uthor', into: 's' });

  test('has the survivor in the place of the author, credited by the name that it says', () =>
    expect(join(linked(1, 'b'), linked(2, 'a', ['editor']), linked(3, 'c'))).toEqual([
      relinked('a', 2, 's', ['editor'], 'A. Uthor'),
    ]));
  test('keeps the credit that it has', () =>
    expect(join(linked(1, 'a', ['author'], 'A.'))).toEqual([relinked('a', 1, 's', ['author'], 'A.')]));
  test('unites the roles of both, at the lower position, with the credit of the survivor', () => {
    expect(join(linked(1, 'b'), linked(2, 's', ['editor']), linked(3, 'a', ['author'], 'A.'))).toEqual([
      relinked('a', 2, 's', ['author', 'editor'], null),
    ]);
    expect(join(linked(1, 'a', ['editor']), linked(2, 'b'), linked(3, 's', ['editor'], 'S.'))).toEqual([
      relinked('a', 1, 's', ['editor'], 'S.'),
    ]);
  });
  test('stays as it is if it was removed, or does not link the author', () => {
    expect(join(linked(1, 'a'), removed)).toEqual([]);
    expect(join(linked(1, 's'))).toEqual([]);
    expect(joinSurvivor([], { authorId: 'a', name: 'A.', into: 's' })).toEqual([]);
  });
  test('stays as it is if the author would survive himself', () => {
    const history = historyOf([by('x', added, linked(1, 'a'))]);
    expect(joinSurvivor(history, { authorId: 'a', name: 'A.', into: 'a' })).toEqual([]);
  });
  test('stays within its limits', () => {
    const large = Array.from({ length: 9 }, (_, n) =>
      linked(n + 1, `${n}`, ['author'], 'x'.repeat(MAX_BOOK_BYTES / 9 - 100)),
    );
    const merge = { authorId: 'a', name: 'x'.repeat(1_000), into: 's' };
    expect(() => joinSurvivor(historyOf([by('x', added, linked(1, 'a'), ...large)]), merge)).toThrow(
      new BookTooLarge(),
    );
  });
});
