import fc from 'fast-check';
import { scenarios } from '../../test/support/given.js';
import { DomainError } from '../domain-error.js';
import { MAX_APPEND_BYTES } from '../stored-data.js';
import {
  addBook,
  BookTooLarge,
  evolveBook,
  importBook,
  linkAuthor,
  MAX_BOOK_BYTES,
  redirect,
  redirectsOf,
  removeBook,
  reorderAuthors,
  restoreBook,
  retitleBook,
  TooManyAuthors,
  unknownBook,
  unlinkAuthor,
  type Book,
  type LinkWish,
} from './book.js';
import { flawOfBookEvent, type BookEvent } from './book.events.js';
import { ROLE_NAMES, type Role } from './roles.js';

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
      .when(restoreBook)
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
  test('restoring it again changes nothing', () =>
    given(added, removed, { type: 'BookRestored', data: { title, authors: [] } })
      .when(restoreBook)
      .nothing());
  test('brings it back filed as it was, with the key of its source', () => {
    const restored: BookEvent = { type: 'BookRestored', data: { ...marked, key: 'k', authors: [] } };
    given({ type: 'BookAdded', data: { title, key: 'k' } }, { type: 'BookRetitled', data: marked }, removed)
      .when(restoreBook)
      .then(restored);
    given({ type: 'BookAdded', data: { ...marked, key: 'k' } }, removed, restored, removed)
      .when(restoreBook)
      .then(restored);
  });
  test('brings back the roles and credits of every link', () =>
    given(added, linked('a', 1, ['editor'], 'A.'), linked('b', 2), unlinked('b'), removed)
      .when(restoreBook)
      .then({
        type: 'BookRestored',
        data: { title, authors: [{ authorId: 'a', roles: ['editor'], creditedAs: 'A.' }] },
      }));
});

describe('a request that names a merged author', () => {
  const old = (rest: Partial<LinkWish> = {}) =>
    wish('new', { merged: { id: 'old', name: 'Old Name' }, ...rest });

  test('links the survivor, and the book prints the name of the merged author', () =>
    given(added)
      .when((book) => linkAuthor(book, old()))
      .then(linked('new', 1, ['author'], 'Old Name')));
  test('keeps the credit that the request has', () =>
    given(added)
      .when((book) => linkAuthor(book, old({ creditedAs: 'O. Name' })))
      .then(linked('new', 1, ['author'], 'O. Name')));
  test('changes the link of a survivor who is on the book already', () => {
    given(added, linked('new', 1))
      .when((book) => linkAuthor(book, old()))
      .nothing();
    given(added, linked('new', 1))
      .when((book) => linkAuthor(book, old({ roles: ['editor'] })))
      .then({ type: 'BookLinkChanged', data: { authorId: 'new', roles: ['editor'], creditedAs: null } });
  });
  test('means the link to the merged author as long as the book has that link', () => {
    given(added, linked('old', 1), linked('new', 2))
      .when((book) => linkAuthor(book, old({ roles: ['editor'] })))
      .then({ type: 'BookLinkChanged', data: { authorId: 'old', roles: ['editor'], creditedAs: null } });
    given(added, linked('old', 1), linked('new', 2))
      .when((book) => unlinkAuthor(book, old()))
      .then(unlinked('old'));
  });
  test('unlinks the survivor', () =>
    given(added, linked('new', 1))
      .when((book) => unlinkAuthor(book, old()))
      .then(unlinked('new')));
  test('is refused if the survivor was removed', () => {
    given(added)
      .when((book) => linkAuthor(book, old({ author: 'removed' })))
      .refuses('author-removed');
    given()
      .when((book) => addBook(book, { title, authors: [old({ author: 'removed' })] }))
      .refuses('author-removed', '/authors/0/authorId');
  });
  test('and the survivor too unites the entries, and the book prints what the survivor has', () => {
    const authors = [
      wish('a'),
      old({ roles: ['editor'] }),
      wish('b'),
      wish('new', { roles: ['translator'] }),
    ];
    given()
      .when((book) => addBook(book, { title, authors }))
      .then(added, linked('a', 1), linked('new', 2, ['editor', 'translator']), linked('b', 3));
  });
  test('and was imported before the merge changes nothing', () => {
    const relinked: BookEvent = {
      type: 'BookRelinked',
      data: { from: 'old', authorId: 'new', position: 1, roles: ['editor'], creditedAs: 'Old Name' },
    };
    const authors = [old({ roles: ['editor'], creditedAs: null }), wish('b', { creditedAs: null })];
    given(added, linked('old', 1, ['editor']), linked('b', 2), relinked)
      .when((book) => importBook(book, { title, authors }))
      .nothing();
    given(added, linked('old', 1, ['editor']), linked('b', 2))
      .when((book) => importBook(book, { title, authors }))
      .nothing();
  });
  test('is told whose place is taken, except where the book still has the link', () => {
    const authors = [old(), wish('b'), old({ roles: ['editor'] })];
    expect(redirectsOf(unknownBook, authors)).toEqual([{ from: 'old', to: 'new' }]);
    expect(redirectsOf([added, linked('new', 1)].reduce(evolveBook, unknownBook), authors)).toHaveLength(1);
    expect(redirectsOf([added, linked('old', 1)].reduce(evolveBook, unknownBook), authors)).toEqual([]);
  });
  test('orders the survivor, once, at the first place', () => {
    const redirects = [{ from: 'old', to: 'new' }];
    expect(redirect(['b', 'old', 'c', 'new'], redirects)).toEqual(['b', 'new', 'c']);
    expect(redirect(['old', 'old'], redirects)).toEqual(['old', 'old']);
    expect(redirect(['b', 'b'], [])).toEqual(['b', 'b']);
  });
});

describe('relinking a book', () => {
  const relinked = (from: string, authorId: string, position: number): BookEvent => ({
    type: 'BookRelinked',
    data: { from, authorId, position, roles: ['editor'], creditedAs: 'Both' },
  });
  const after = (...events: BookEvent[]) => {
    const book = [added, linked('a', 1), linked('b', 2), linked('c', 3), ...events].reduce(
      evolveBook,
      unknownBook,
    );
    return book.status === 'unknown' ? [] : book.links.map((link) => link.authorId);
  };

  test('puts one author in the place of another, who may be in the list already', () => {
    expect(after(relinked('b', 'x', 2))).toEqual(['a', 'x', 'c']);
    expect(after(relinked('a', 'c', 1))).toEqual(['c', 'b']);
    expect(after(relinked('c', 'a', 1))).toEqual(['a', 'b']);
    expect(after(relinked('a', 'c', 2))).toEqual(['b', 'c']);
  });
  test('gives the author the link of the event', () =>
    given(added, linked('a', 1), linked('b', 2), relinked('b', 'a', 1))
      .when((book) => linkAuthor(book, wish('a', { roles: ['editor'], creditedAs: 'Both', position: 1 })))
      .nothing());
});

describe('an imported line of a book that was removed', () => {
  const restored: BookEvent = {
    type: 'BookRestored',
    data: { title, authors: [{ authorId: 'a', roles: ['author'], creditedAs: null }] },
  };
  const reverting = { ...removed, metadata: { reverts: 'import' } };

  test('by a revert brings the book back, then makes the book as the line says', () => {
    given(added, linked('a', 1), reverting)
      .when((book) => importBook(book, { title, authors: [wish('a', { creditedAs: null })] }))
      .then(restored);
    given(added, linked('a', 1), reverting)
      .when((book) => importBook(book, { title: 'Mort', authors: [wish('b')] }))
      .then(restored, { type: 'BookRetitled', data: { title: 'Mort' } }, unlinked('a'), linked('b', 1));
    given(added, linked('a', 1), reverting)
      .when((book) => importBook(book, { title, authors: undefined }))
      .then(restored);
  });
  test('by a caller is refused, also after a revert', () => {
    given(added, removed)
      .when((book) => importBook(book, { title, authors: undefined }))
      .refuses('book-removed');
    given(added, linked('a', 1), reverting, restored, removed)
      .when((book) => importBook(book, { title, authors: undefined }))
      .refuses('book-removed');
  });
});

describe('a link whose author was removed', () => {
  const waiting = wish('b', { author: 'removed' });
  const history = [added, linked('a', 1), linked('b', 2, ['editor'], 'B.'), linked('c', 3)];
  test('keeps its place while the others are reordered', () =>
    given(...history)
      .when((book) => reorderAuthors(book, { authorIds: ['c', 'a'], waiting: new Set(['b']) }))
      .then(reordered('c', 'b', 'a')));
  test('can be moved by name', () =>
    given(...history)
      .when((book) => reorderAuthors(book, { authorIds: ['b', 'c', 'a'] }))
      .then(reordered('b', 'c', 'a')));
  test('changes nothing where the others stand as they are', () =>
    given(...history)
      .when((book) => reorderAuthors(book, { authorIds: ['a', 'c'], waiting: new Set(['b']) }))
      .nothing());
  test.each([[['a']], [['a', 'a']], [['a', 'c', 'd']], [['a', 'd']], [[]]])(
    'does not make %j an order of the authors',
    (authorIds) =>
      given(...history)
        .when((book) => reorderAuthors(book, { authorIds, waiting: new Set(['b']) }))
        .refuses('not-the-books-authors', '/authorIds'),
  );
  test('can be unlinked', () =>
    given(...history)
      .when((book) => unlinkAuthor(book, { authorId: 'b' }))
      .then(unlinked('b')));
  test('linked again as it is, changes nothing', () =>
    given(...history)
      .when((book) => linkAuthor(book, { ...waiting, roles: ['editor'], creditedAs: 'B.', position: 2 }))
      .nothing());
  test('can be changed and moved', () =>
    given(...history)
      .when((book) => linkAuthor(book, { ...waiting, creditedAs: 'Bee', position: 1 }))
      .then(
        { type: 'BookLinkChanged', data: { authorId: 'b', roles: ['editor'], creditedAs: 'Bee' } },
        reordered('b', 'a', 'c'),
      ));
  test('is no new link after an unlinking', () =>
    given(...history, unlinked('b'))
      .when((book) => linkAuthor(book, waiting))
      .refuses('author-removed'));
  test('stays where an imported line lists it', () =>
    given(...history)
      .when((book) =>
        importBook(book, {
          title,
          authors: [wish('a'), { ...waiting, roles: ['editor'], creditedAs: 'B.' }, wish('c')],
        }),
      )
      .nothing());
  test('goes where an imported line leaves it out', () =>
    given(...history)
      .when((book) => importBook(book, { title, authors: [wish('a'), wish('c')] }))
      .then(unlinked('b')));
});

describe('a book', () => {
  const many = (count: number, creditedAs: string | null = null, from = 1): BookEvent[] =>
    Array.from({ length: count }, (_, n) =>
      linked(
        `${String(from + n).padStart(8, '0')}-0000-4000-8000-000000000000`,
        from + n,
        ['author'],
        creditedAs,
      ),
    );
  const wishes = (events: readonly BookEvent[]): LinkWish[] =>
    events.flatMap(({ type, data }) =>
      type === 'BookLinked' ? [wish(data.authorId, { roles: data.roles, creditedAs: data.creditedAs })] : [],
    );
  const linksOf = (events: readonly BookEvent[]) =>
    wishes(events).map(({ authorId, roles = [], creditedAs = null }) => ({ authorId, roles, creditedAs }));
  const bytes = (events: readonly BookEvent[]) =>
    events.reduce((sum, { data }) => sum + Buffer.byteLength(JSON.stringify(data)), 0);
  /** The longest credit in bytes. */
  const credit = '\u{1F4D6}'.repeat(1_000);

  test('takes 1,000 authors', () =>
    given(added, ...many(999))
      .when((book) => linkAuthor(book, wish('z')))
      .then(linked('z', 1_000)));
  test('refuses one more, however it comes', () => {
    const full = given(added, ...many(1_000));
    full.when((book) => linkAuthor(book, wish('z'))).refuses('too-many-authors');
    full.when((book) => linkAuthor(book, wish('z', { position: 1 }))).refuses('too-many-authors');
    const listed = [...wishes(many(1_000)), wish('z')];
    full.when((book) => importBook(book, { title, authors: listed })).refuses('too-many-authors');
    given()
      .when((book) => addBook(book, { title, authors: listed }))
      .refuses('too-many-authors');
    given()
      .when((book) => importBook(book, { title, authors: listed }))
      .refuses('too-many-authors');
  });
  test('names the limits in its refusals', () => {
    expect(new TooManyAuthors().message).toContain('1000');
    expect(new BookTooLarge().message).toContain(String(MAX_BOOK_BYTES));
  });
  test('of too many authors, from an older version, can shrink and be changed', () => {
    const over = given(added, ...many(1_002));
    const ids = wishes(many(1_002)).map(({ authorId }) => authorId);
    const [first = wish('')] = wishes(many(1));
    over.when((book) => unlinkAuthor(book, { authorId: first.authorId })).then(unlinked(first.authorId));
    over
      .when((book) => retitleBook(book, { title: 'Mort' }))
      .then({ type: 'BookRetitled', data: { title: 'Mort' } });
    over
      .when((book) => linkAuthor(book, { ...first, position: 1_002 }))
      .then(reordered(...ids.slice(1), first.authorId));
    over.when((book) => linkAuthor(book, wish('z'))).refuses('too-many-authors');
    over.when(removeBook).then(removed);
    given(added, ...many(1_002), removed)
      .when(restoreBook)
      .then({ type: 'BookRestored', data: { title, authors: linksOf(many(1_002)) } });
  });

  test('takes 1,000 authors in every role, without credits', () => {
    const authors = wishes(many(1_000)).map((one) => ({ ...one, roles: ROLE_NAMES }));
    const events = addBook(unknownBook, { title: credit, authors });
    expect(events).toHaveLength(1_001);
    expect(bytes(events)).toBeLessThan(MAX_APPEND_BYTES);
  });
  test('refuses credits and titles beyond its size, however they come', () => {
    const large = many(190, credit);
    const full = given(added, ...large);
    full.when((book) => linkAuthor(book, wish('y'))).then(linked('y', 191));
    full
      .when((book) => linkAuthor(book, wish('z', { creditedAs: credit.repeat(4) })))
      .refuses('book-too-large');
    full.when((book) => retitleBook(book, { title: credit.repeat(4) })).refuses('book-too-large');
    full
      .when((book) => importBook(book, { title, authors: wishes(many(200, credit)) }))
      .refuses('book-too-large');
    const [first = wish('')] = wishes(large);
    full
      .when((book) => linkAuthor(book, { ...first, creditedAs: credit.repeat(4) }))
      .refuses('book-too-large');
    given()
      .when((book) => addBook(book, { title, authors: wishes(many(200, credit)) }))
      .refuses('book-too-large');
  });
  test.each(['"', '\\', 'é', '‰', credit.slice(0, 2)])(
    'can be restored however its credits of %s grew',
    (sign) => {
      let book = [added].reduce(evolveBook, unknownBook);
      for (const one of wishes(many(1_000)))
        try {
          const events = linkAuthor(book, { ...one, creditedAs: sign.repeat(1_000) });
          book = events.reduce(evolveBook, book);
        } catch (error) {
          expect(error).toBeInstanceOf(BookTooLarge);
          break;
        }
      expect(bytes(restoreBook(removeBook(book).reduce(evolveBook, book)))).toBeLessThan(MAX_APPEND_BYTES);
    },
  );
  test('can be imported anew, whoever its authors were', () => {
    const before = [added, ...many(1_000, 'x'.repeat(600))].reduce(evolveBook, unknownBook);
    const authors = wishes(many(1_000, 'x'.repeat(660), 1_001));
    const events = importBook(before, { title: credit, authors });
    expect(bytes(events)).toBeLessThan(MAX_APPEND_BYTES);
    expect(events).toHaveLength(2_001);
  });
  test('beyond its size, from an older version, can shrink and be restored', () => {
    const large = many(250, credit);
    const over = given(added, ...large);
    const [first = wish('')] = wishes(large);
    over.when((book) => linkAuthor(book, wish('z'))).refuses('book-too-large');
    over.when((book) => unlinkAuthor(book, first)).then(unlinked(first.authorId));
    over
      .when((book) => linkAuthor(book, { ...first, creditedAs: null }))
      .then({
        type: 'BookLinkChanged',
        data: { authorId: first.authorId, roles: ['author'], creditedAs: null },
      });
    over.when(removeBook).then(removed);
    given(added, ...large, removed)
      .when(restoreBook)
      .then({ type: 'BookRestored', data: { title, authors: linksOf(large) } });
  });
  test('that no append can carry is not removed', () =>
    given(added, ...many(270, credit))
      .when(removeBook)
      .refuses('book-too-large'));
});

/** Commands that anybody may give about a book and four authors, in any order. */
const authorIds = Array.from('abcd', (letter) => `${letter.repeat(8)}-0000-4000-8000-000000000000`);
const someone = fc.constantFrom(...authorIds);
const commands = fc.array(
  fc.record({
    what: fc.constantFrom('link', 'unlink', 'order', 'remove', 'restore', 'import', 'retitle', 'author'),
    author: someone,
    some: fc.shuffledSubarray(authorIds),
    position: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    roles: fc.subarray(ROLE_NAMES, { minLength: 1, maxLength: 2 }),
    creditedAs: fc.option(fc.constantFrom('X', 'Y')),
  }),
  { maxLength: 40 },
);

test('whatever was done to a book, it can be ordered by what is shown, unlinked, removed, restored and imported', () =>
  fc.assert(
    fc.property(commands, (some) => {
      const live = new Set(authorIds);
      const statusOf = (authorId: string): LinkWish['author'] => (live.has(authorId) ? 'live' : 'removed');
      const asked = (ids: readonly string[]) => ids.map((id) => wish(id, { author: statusOf(id) }));
      let book = [added].reduce(evolveBook, unknownBook);
      const take = (decide: (book: Book) => BookEvent[]) => {
        const events = decide(book);
        for (const event of events) expect(flawOfBookEvent(event)).toBeUndefined();
        book = events.reduce(evolveBook, book);
      };
      const linksOf = () => (book.status === 'unknown' ? [] : book.links);
      const waiting = () => new Set(authorIds.filter((id) => !live.has(id)));
      const shown = () =>
        linksOf()
          .map(({ authorId }) => authorId)
          .filter((id) => live.has(id));
      for (const { what, author, some: listed, ...rest } of some)
        try {
          // A removal may race a link, so an author with books may be removed.
          if (what === 'author') {
            if (!live.delete(author)) live.add(author);
          } else if (what === 'link')
            take((now) => linkAuthor(now, { ...rest, authorId: author, author: statusOf(author) }));
          else if (what === 'unlink') take((now) => unlinkAuthor(now, { authorId: author }));
          else if (what === 'order')
            take((now) => reorderAuthors(now, { authorIds: listed, waiting: waiting() }));
          else if (what === 'remove') take(removeBook);
          else if (what === 'restore') take(restoreBook);
          else if (what === 'import') take((now) => importBook(now, { title, authors: asked(listed) }));
          else take((now) => retitleBook(now, { title: author }));
        } catch (error) {
          expect(error).toBeInstanceOf(DomainError);
        }

      const before = linksOf();
      take(removeBook);
      take(restoreBook);
      expect(linksOf()).toEqual(before);
      const places = linksOf().map(({ authorId }) => live.has(authorId));
      const order = shown().toReversed();
      take((now) => reorderAuthors(now, { authorIds: order, waiting: waiting() }));
      expect(shown()).toEqual(order);
      expect(linksOf().map(({ authorId }) => live.has(authorId))).toEqual(places);
      const all = linksOf().map((link) => ({ ...link, author: statusOf(link.authorId) }));
      take((now) => importBook(now, { title: 'Mort', authors: all }));
      expect(linksOf()).toEqual(all.map(({ author: _, ...link }) => link));
      for (const { authorId } of linksOf()) take((now) => unlinkAuthor(now, { authorId }));
      expect(book).toEqual({ status: 'live', title: 'Mort', links: [] });
    }),
  ));

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
