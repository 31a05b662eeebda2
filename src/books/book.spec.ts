import { scenarios } from '../../test/support/given.js';
import {
  addBook,
  evolveBook,
  importBook,
  linkAuthor,
  removeBook,
  reorderAuthors,
  restoreBook,
  retitleBook,
  unknownBook,
  unlinkAuthor,
  type LinkWish,
} from './book.js';
import type { BookEvent } from './book.events.js';
import type { Role } from './roles.js';

const given = scenarios(unknownBook, evolveBook);
const title = 'Good Omens';
const marked = { title: 'Das Parfum', filedAs: 'Parfum' };
const added: BookEvent = { type: 'BookAdded', data: { title } };
const removed: BookEvent = { type: 'BookRemoved', data: {} };
const linked = (
  authorId: string,
  position: number,
  roles: Role[] = ['author'],
  creditedAs: string | null = null,
) => ({ type: 'BookLinked', data: { authorId, position, roles, creditedAs } }) satisfies BookEvent;
const reordered = (...authorIds: string[]): BookEvent => ({ type: 'AuthorsReordered', data: { authorIds } });
const unlinked = (authorId: string): BookEvent => ({ type: 'BookUnlinked', data: { authorId } });
const wish = (authorId: string, rest: Partial<LinkWish> = {}): LinkWish => ({
  authorId,
  author: 'live',
  ...rest,
});

describe('adding a book', () => {
  test('adds it with its authors in their order', () =>
    given()
      .when((book) =>
        addBook(book, {
          title,
          authors: [wish('pratchett'), wish('gaiman', { roles: ['editor', 'author'] })],
        }),
      )
      .then(added, linked('pratchett', 1), linked('gaiman', 2, ['author', 'editor'])));
  test('is refused where the id is taken', () =>
    given(added)
      .when((book) => addBook(book, { title, authors: [] }))
      .refuses('book-already-exists'));
  test('is refused with an author who is not known', () =>
    given()
      .when((book) => addBook(book, { title, authors: [wish('a'), wish('b', { author: 'unknown' })] }))
      .refuses('author-not-found', '/authors/1/authorId'));
  test('is refused with an author who was removed', () =>
    given()
      .when((book) => addBook(book, { title, authors: [wish('a', { author: 'removed' })] }))
      .refuses('author-removed', '/authors/0/authorId'));
  test('links an author who is listed twice once, at the first place, in all the roles, with the first credit', () =>
    given()
      .when((book) =>
        addBook(book, {
          title,
          authors: [
            wish('a'),
            wish('b', { roles: ['editor'] }),
            wish('a', { roles: ['illustrator'], creditedAs: 'A.' }),
            wish('a', { roles: ['illustrator'], creditedAs: 'Other' }),
          ],
        }),
      )
      .then(added, linked('a', 1, ['author', 'illustrator'], 'A.'), linked('b', 2, ['editor'])));
  test('is refused with an author who is not known, wherever others are listed twice', () =>
    given()
      .when((book) =>
        addBook(book, { title, authors: [wish('a'), wish('a'), wish('b', { author: 'unknown' })] }),
      )
      .refuses('author-not-found', '/authors/2/authorId'));
  test('keeps what the title is filed as, and the key of the source', () =>
    given()
      .when((book) => addBook(book, { ...marked, key: 'k', authors: [] }))
      .then({ type: 'BookAdded', data: { ...marked, key: 'k' } }));
  test('without these has the bytes that it always had', () =>
    expect(JSON.stringify(addBook(unknownBook, { title, filedAs: undefined, authors: [] }))).toBe(
      '[{"type":"BookAdded","data":{"title":"Good Omens"}}]',
    ));
});

describe('retitling a book', () => {
  test('gives it the new title', () =>
    given(added)
      .when((book) => retitleBook(book, { title: 'Mort' }))
      .then({ type: 'BookRetitled', data: { title: 'Mort' } }));
  test('to the title it has changes nothing', () =>
    given(added)
      .when((book) => retitleBook(book, { title }))
      .nothing());
  test('to the same title, filed otherwise, changes what it is filed as', () => {
    given({ type: 'BookAdded', data: { title: marked.title } })
      .when((book) => retitleBook(book, marked))
      .then({ type: 'BookRetitled', data: marked });
    given({ type: 'BookAdded', data: marked })
      .when((book) => retitleBook(book, { title: marked.title }))
      .then({ type: 'BookRetitled', data: { title: marked.title } });
    given({ type: 'BookAdded', data: marked })
      .when((book) => retitleBook(book, marked))
      .nothing();
  });
  test('is refused for an unknown book', () =>
    given()
      .when((book) => retitleBook(book, { title }))
      .refuses('book-not-found'));
  test('is refused for a removed book', () =>
    given(added, removed)
      .when((book) => retitleBook(book, { title }))
      .refuses('book-removed'));
});

describe('linking an author', () => {
  test('puts it last, as an author, under its own name', () =>
    given(added, linked('a', 1))
      .when((book) => linkAuthor(book, wish('b')))
      .then(linked('b', 2)));
  test('puts it where it is wanted', () =>
    given(added, linked('a', 1), linked('b', 2))
      .when((book) => linkAuthor(book, wish('c', { position: 2, roles: ['translator'], creditedAs: 'C.' })))
      .then(linked('c', 2, ['translator'], 'C.')));
  test('twice changes nothing', () =>
    given(added, linked('a', 1, ['translator'], 'A.'))
      .when((book) => linkAuthor(book, wish('a')))
      .nothing());
  test('twice, with its roles in another order, changes nothing', () =>
    given(added, linked('a', 1, ['author', 'editor']))
      .when((book) => linkAuthor(book, wish('a', { roles: ['editor', 'author', 'editor'] })))
      .nothing());
  test('again in another role changes the link and keeps the credit', () =>
    given(added, linked('a', 1, ['author'], 'A.'))
      .when((book) => linkAuthor(book, wish('a', { roles: ['editor'] })))
      .then({ type: 'BookLinkChanged', data: { authorId: 'a', roles: ['editor'], creditedAs: 'A.' } }));
  test('again elsewhere moves it', () =>
    given(added, linked('a', 1), linked('b', 2), linked('c', 3))
      .when((book) => linkAuthor(book, wish('c', { position: 1 })))
      .then(reordered('c', 'a', 'b')));
  test('beyond the end of the list is refused', () =>
    given(added, linked('a', 1))
      .when((book) => linkAuthor(book, wish('b', { position: 3 })))
      .refuses('position-out-of-range', '/position'));
  test('is refused for an unknown author', () =>
    given(added)
      .when((book) => linkAuthor(book, wish('a', { author: 'unknown' })))
      .refuses('author-not-found'));
  test('is refused for a removed author', () =>
    given(added)
      .when((book) => linkAuthor(book, wish('a', { author: 'removed' })))
      .refuses('author-removed'));
  test('is refused for an unknown book', () =>
    given()
      .when((book) => linkAuthor(book, wish('a')))
      .refuses('book-not-found'));
});

describe('unlinking an author', () => {
  test('takes it out, and those behind move up', () => {
    given(added, linked('a', 1), linked('b', 2))
      .when((book) => unlinkAuthor(book, { authorId: 'a' }))
      .then(unlinked('a'));
    given(added, linked('a', 1), linked('b', 2), unlinked('a'))
      .when((book) => linkAuthor(book, wish('b', { position: 1 })))
      .nothing();
  });
  test('who is not linked changes nothing', () =>
    given(added)
      .when((book) => unlinkAuthor(book, { authorId: 'a' }))
      .nothing());
});

describe('reordering the authors', () => {
  test('puts them in the order given', () =>
    given(added, linked('a', 1), linked('b', 2))
      .when((book) => reorderAuthors(book, { authorIds: ['b', 'a'] }))
      .then(reordered('b', 'a')));
  test('to the order they have changes nothing', () =>
    given(added, linked('a', 1), linked('b', 2), reordered('b', 'a'))
      .when((book) => reorderAuthors(book, { authorIds: ['b', 'a'] }))
      .nothing());
  test.each([[['a']], [['a', 'b', 'c']], [['a', 'a']]])(
    '%j, not the authors there are, is refused',
    (authorIds) =>
      given(added, linked('a', 1), linked('b', 2))
        .when((book) => reorderAuthors(book, { authorIds }))
        .refuses('not-the-books-authors', '/authorIds'),
  );
});

describe('removing and restoring a book', () => {
  test('removes it', () => given(added).when(removeBook).then(removed));
  test('removing it again changes nothing', () => given(added, removed).when(removeBook).nothing());
  test('brings it back as it was', () =>
    given(added, linked('a', 1), linked('b', 2), removed)
      .when((book) => restoreBook(book, { liveAuthors: new Set(['a', 'b']) }))
      .then({
        type: 'BookRestored',
        data: {
          title,
          authors: [
            { authorId: 'a', roles: ['author'], creditedAs: null },
            { authorId: 'b', roles: ['author'], creditedAs: null },
          ],
        },
      }));
  test('brings it back filed as it was, with the key of its source', () => {
    const restored: BookEvent = { type: 'BookRestored', data: { ...marked, key: 'k', authors: [] } };
    given({ type: 'BookAdded', data: { title, key: 'k' } }, { type: 'BookRetitled', data: marked }, removed)
      .when((book) => restoreBook(book, { liveAuthors: new Set() }))
      .then(restored);
    given({ type: 'BookAdded', data: { ...marked, key: 'k' } }, removed, restored, removed)
      .when((book) => restoreBook(book, { liveAuthors: new Set() }))
      .then(restored);
  });
  test('brings it back without authors who are gone since', () =>
    given(added, linked('a', 1), linked('b', 2), removed)
      .when((book) => restoreBook(book, { liveAuthors: new Set(['b']) }))
      .then({
        type: 'BookRestored',
        data: { title, authors: [{ authorId: 'b', roles: ['author'], creditedAs: null }] },
      }));
});

describe('an imported line', () => {
  test('adds an unknown book', () =>
    given()
      .when((book) => importBook(book, { title, authors: [wish('a')] }))
      .then(added, linked('a', 1)));
  test('changes what differs, and only that', () =>
    given(added, linked('a', 1), linked('b', 2), linked('c', 3))
      .when((book) => importBook(book, { title: 'Mort', authors: [wish('d'), wish('c'), wish('b')] }))
      .then(
        { type: 'BookRetitled', data: { title: 'Mort' } },
        unlinked('a'),
        linked('d', 3),
        reordered('d', 'c', 'b'),
      ));
  test('that lists no authors leaves the links alone', () =>
    given(added, linked('a', 1))
      .when((book) => importBook(book, { title, authors: undefined }))
      .nothing());
  test('changes nothing where all is as it says', () =>
    given(added, linked('a', 1))
      .when((book) =>
        importBook(book, { title, authors: [wish('a', { roles: ['author'], creditedAs: null })] }),
      )
      .nothing());
  test('that lists an author twice means one link', () => {
    const twice = [
      wish('a', { roles: ['author'], creditedAs: null }),
      wish('a', { roles: ['editor'], creditedAs: 'A.' }),
    ];
    given(added)
      .when((book) => importBook(book, { title, authors: twice }))
      .then(linked('a', 1, ['author', 'editor'], 'A.'));
    given(added, linked('a', 1, ['author', 'editor'], 'A.'))
      .when((book) => importBook(book, { title, authors: twice }))
      .nothing();
  });
  test('changes nothing of a book that was imported before keys were kept', () =>
    given(added)
      .when((book) => importBook(book, { title, key: 'k', authors: [] }))
      .nothing());
});
