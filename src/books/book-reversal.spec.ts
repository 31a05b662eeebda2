import { act, historyOf, pasts, revertOf, type Act } from '../../test/support/happened.js';
import type { Undo } from '../changes/reversal.js';
import { MAX_AUTHORS, TooManyAuthors } from './book.js';
import type { BookEvent, Link } from './book.events.js';
import { joinSurvivor } from './book-cascade.js';
import { authorsToAsk, holdsAuthor, revertBook, type StandingOf } from './book-reversal.js';
import type { Role } from './roles.js';

const by = act<BookEvent>;
const reverting = revertOf<BookEvent>;
const allLive: StandingOf = (id) => ({ id, status: 'live' });
const past = pasts<BookEvent>((history, undo) => revertBook(history, undo, allLive));
/** A past of which some authors are not what they were. */
const pastWith = (standings: Record<string, ReturnType<StandingOf>>) =>
  pasts<BookEvent>((history, undo) => revertBook(history, undo, (id) => standings[id] ?? allLive(id)));

const title = 'Good Omens';
const added: BookEvent = { type: 'BookAdded', data: { title, filedAs: 'Omens', key: 'k' } };
const retitled = (text: string): BookEvent => ({ type: 'BookRetitled', data: { title: text } });
const titledBack: BookEvent = { type: 'BookRetitled', data: { title, filedAs: 'Omens' } };
const removed: BookEvent = { type: 'BookRemoved', data: {} };
const link = (authorId: string, roles: Role[] = ['author'], creditedAs: string | null = null) => ({
  authorId,
  roles,
  creditedAs,
});
const linked = (position: number, ...rest: Parameters<typeof link>): BookEvent => ({
  type: 'BookLinked',
  data: { ...link(...rest), position },
});
const changed = (...rest: Parameters<typeof link>): BookEvent => ({
  type: 'BookLinkChanged',
  data: link(...rest),
});
const unlinked = (authorId: string): BookEvent => ({ type: 'BookUnlinked', data: { authorId } });
const reordered = (...authorIds: string[]): BookEvent => ({ type: 'AuthorsReordered', data: { authorIds } });
const relinked = (from: string, position: number, ...rest: Parameters<typeof link>): BookEvent => ({
  type: 'BookRelinked',
  data: { from, ...link(...rest), position },
});
const restored = (...authors: Link[]): BookEvent => ({
  type: 'BookRestored',
  data: { title, filedAs: 'Omens', key: 'k', authors },
});
const restoredAs = (text: string, ...authors: Link[]): BookEvent => ({
  type: 'BookRestored',
  data: { title: text, key: 'k', authors },
});
/** A book that somebody added, with these authors. */
const book = (...authors: string[]) =>
  by('x', added, ...authors.map((authorId, index) => linked(index + 1, authorId)));
const changedSince = (fact: string, since: string) => ({ fact, why: 'changed-since' as const, since });

describe('undoing the addition of a book', () => {
  const imported = by('c', added, linked(1, 'a'), linked(2, 'b'));
  test('removes the book', () => past(imported).undoing('c').gives(removed));
  test.each([
    ['retitled', retitled('Mort')],
    ['linked', linked(3, 'z')],
    ['unlinked an author of', unlinked('a')],
    ['changed a link of', changed('a', ['editor'])],
    ['put in order', reordered('b', 'a')],
    ['merged an author of', relinked('a', 1, 's')],
    ['removed', removed],
  ])('leaves a book whole that somebody %s since', (_, event) =>
    past(imported, by('y', event)).undoing('c').leaves(changedSince('added', 'y')),
  );
  test('removes a book whose changes since were reverted', () =>
    past(imported, by('y', retitled('Mort'), linked(3, 'z')), reverting('y', 'r', titledBack, unlinked('z')))
      .undoing('c')
      .gives(removed));
  test('can be undone, and done again', () => {
    const once = [imported, reverting('c', 'r', removed)];
    const back = restored(link('a'), link('b'));
    past(...once)
      .undoing('r')
      .gives(back);
    past(...once, reverting('r', 'rr', back))
      .undoing('c')
      .gives(removed);
  });
  test('has nothing to do if the change itself removed the book', () =>
    past(by('c', added, removed))
      .undoing('c')
      .nothing());
  test('leaves a book that another import brought back', () =>
    past(imported, reverting('c', 'r', removed), by('d', restored(link('a'), link('b')), retitled('Mort')))
      .undoing('c')
      .leaves(changedSince('added', 'd')));
  test('that brought back a removed book takes back what that import did', () =>
    past(imported, reverting('c', 'r', removed), by('d', restored(link('a'), link('b')), retitled('Mort')))
      .undoing('d')
      .gives(titledBack, removed));
});

describe('undoing a new title', () => {
  test('gives the old title, filed as before', () =>
    past(book(), by('c', retitled('Mort'), retitled('Eric')))
      .undoing('c')
      .gives(titledBack));
  test('leaves a book that somebody retitled since', () =>
    past(book(), by('c', retitled('Mort')), by('y', retitled('Eric')))
      .undoing('c')
      .leaves(changedSince('title', 'y')));
  test('leaves a book that somebody removed since', () =>
    past(book(), by('c', retitled('Mort')), by('y', removed))
      .undoing('c')
      .leaves(changedSince('title', 'y')));
  test('leaves a book that somebody removed while it was asked for, and restored', () => {
    const acts = [book(), by('c', retitled('Mort')), by('y', removed)];
    for (const later of [[], [by('z', restoredAs('Mort'))]])
      past(...acts, ...later)
        .undoing('c', { before: 2n })
        .leaves(changedSince('title', 'y'));
  });
  test('lets other changes of the book stand', () =>
    past(book('a'), by('c', retitled('Mort')), by('y', linked(2, 'b'), reordered('b', 'a')))
      .undoing('c')
      .gives(titledBack));
});

describe('undoing a link', () => {
  test('unlinks the author', () =>
    past(book('a'), by('c', linked(1, 'b')))
      .undoing('c')
      .gives(unlinked('b')));
  test('unlinks the author whom somebody put elsewhere in the list since', () =>
    past(book('a'), by('c', linked(1, 'b')), by('y', reordered('a', 'b')))
      .undoing('c')
      .gives(unlinked('b')));
  test('leaves a link that somebody changed since', () =>
    past(book('a'), by('c', linked(1, 'b')), by('y', changed('b', ['editor'])))
      .undoing('c')
      .leaves(changedSince('link b', 'y')));
  test('leaves a link that somebody took away and made again since', () =>
    past(book('a'), by('c', linked(1, 'b')), by('y', unlinked('b'), linked(1, 'b')))
      .undoing('c')
      .leaves(changedSince('link b', 'y')));
  test('leaves an author who was merged since', () =>
    past(book('a'), by('c', linked(1, 'b')), by('m', relinked('b', 1, 's')))
      .undoing('c')
      .leaves(changedSince('link b', 'm')));
  test('of an author whose merge was reverted unlinks the author', () =>
    past(
      book('a'),
      by('c', linked(1, 'b')),
      by('m', relinked('b', 1, 's')),
      reverting('m', 'r', relinked('s', 1, 'b')),
    )
      .undoing('c')
      .gives(unlinked('b')));
  test('leaves a book that somebody removed since, link by link', () =>
    past(book(), by('c', linked(1, 'a'), linked(2, 'b')), by('y', removed))
      .undoing('c')
      .leaves(changedSince('link a', 'y'), changedSince('link b', 'y')));
  test('of a book that was removed and restored since unlinks the author', () =>
    past(book('a'), by('c', linked(1, 'b')), by('y', removed, restored(link('b'), link('a'))))
      .undoing('c')
      .gives(unlinked('b')));
});

describe('undoing an unlink', () => {
  test('links the author at the old place, as before', () =>
    past(book('a'), by('y', linked(2, 'b', ['editor'], 'B.'), linked(3, 'c')), by('c', unlinked('b')))
      .undoing('c')
      .gives(linked(2, 'b', ['editor'], 'B.')));
  test('of several authors puts each at the old place', () =>
    past(book('a', 'b', 'c', 'd', 'e'), by('c', unlinked('d'), unlinked('b'), unlinked('c'), unlinked('a')))
      .undoing('c')
      .gives(linked(1, 'a'), linked(2, 'c'), linked(2, 'b'), linked(4, 'd')));
  test('puts the author after whom the author followed, wherever that one is', () =>
    past(book('a', 'b', 'c'), by('c', unlinked('b')), by('y', linked(1, 'z'), reordered('z', 'c', 'a')))
      .undoing('c')
      .gives(linked(4, 'b')));
  test('leaves an author whom somebody linked again since', () =>
    past(book('a'), by('c', unlinked('a')), by('y', linked(1, 'a', ['editor'])))
      .undoing('c')
      .leaves(changedSince('link a', 'y')));
  test('leaves an author whom somebody linked and unlinked since', () =>
    past(book('a'), by('c', unlinked('a')), by('y', linked(1, 'a')), by('z', unlinked('a')))
      .undoing('c')
      .leaves(changedSince('link a', 'z')));
  test('leaves an author who was removed since', () =>
    pastWith({ b: { id: 'b', status: 'removed' } })(book('a', 'b'), by('c', unlinked('a'), unlinked('b')))
      .undoing('c')
      .leaving({ fact: 'link b', why: 'author-removed' })
      .gives(linked(1, 'a')));
  test('links the survivor of an author who was merged since, with the name that the book says', () => {
    const merged = { b: { id: 's', status: 'live', name: 'B. B.' } } as const;
    pastWith(merged)(book('a', 'b'), by('c', unlinked('b')))
      .undoing('c')
      .gives(linked(2, 's', ['author'], 'B. B.'));
    pastWith(merged)(book('a'), by('x', linked(1, 'b', ['editor'], 'B.')), by('c', unlinked('b')))
      .undoing('c')
      .gives(linked(1, 's', ['editor'], 'B.'));
    pastWith({ b: { id: 's', status: 'live' } })(book('a', 'b'), by('c', unlinked('b')))
      .undoing('c')
      .gives(linked(2, 's'));
  });
  test('has nothing to do if the survivor is linked already', () =>
    pastWith({ b: { id: 's', status: 'live' } })(book('s', 'b'), by('c', unlinked('b')))
      .undoing('c')
      .nothing());
  test('links a survivor of several authors once', () =>
    pastWith({ a: { id: 's', status: 'live' }, b: { id: 's', status: 'live' } })(
      book('a', 'b'),
      by('c', unlinked('a'), unlinked('b')),
    )
      .undoing('c')
      .gives(linked(1, 's')));
  test('leaves an author whose survivor somebody took out of the book since', () => {
    const acts = [book('s', 'b'), by('c', unlinked('b')), by('y', unlinked('s'))];
    for (const before of [4n, 5n])
      pastWith({ b: { id: 's', status: 'live' } })(...acts)
        .undoing('c', { before })
        .leaves(changedSince('link b', 'y'));
  });
  test('links a survivor whom somebody took out of the book before', () =>
    pastWith({ b: { id: 's', status: 'live' } })(
      book('s', 'b'),
      by('y', unlinked('s')),
      by('c', unlinked('b')),
    )
      .undoing('c')
      .gives(linked(1, 's')));
  test('leaves the survivor whom the change itself brought in for an author who was merged since', () =>
    pastWith({ b: { id: 's', status: 'live', name: 'B. B.' } })(
      book('a', 'b'),
      by('c', unlinked('b'), linked(2, 's')),
    )
      .undoing('c')
      .leaves({ fact: 'link s', why: 'author-removed' }));
  test('leaves an author whose survivor was removed', () =>
    pastWith({ b: { id: 's', status: 'removed' } })(book('b'), by('c', unlinked('b')))
      .undoing('c')
      .leaves({ fact: 'link b', why: 'author-removed' }));
  test('in a removal of an author keeps what others did meanwhile', () =>
    past(
      book('a', 'b'),
      by('c', unlinked('a')),
      by('y', retitled('Mort'), linked(2, 'z'), changed('b', ['editor'], 'B.'), reordered('z', 'b')),
    )
      .undoing('c')
      .gives(linked(1, 'a')));
  test('that came with a new link elsewhere puts the author back', () =>
    past(book('a', 'b', 'c'), by('c', unlinked('c'), linked(1, 'c')))
      .undoing('c')
      .gives(unlinked('c'), linked(3, 'c')));
  test('that came with a new link elsewhere lets somebody else’s order stand', () =>
    past(book('a', 'b', 'c'), by('c', unlinked('c'), linked(1, 'c')), by('y', reordered('a', 'c', 'b')))
      .undoing('c')
      .nothing());
});

test('undoing an unlink and a new link elsewhere keeps the place if somebody took others out while it was asked for', () =>
  past(book('a', 'b', 'c'), by('c', unlinked('c'), linked(1, 'c')), by('y', unlinked('a')))
    .undoing('c', { before: 6n })
    .nothing());

describe('undoing a change of a link', () => {
  test('gives the old roles and the old credit', () =>
    past(book('a'), by('c', changed('a', ['editor'], 'A.')))
      .undoing('c')
      .gives(changed('a')));
  test('leaves a link that somebody changed since', () =>
    past(book('a'), by('c', changed('a', ['editor'])), by('y', changed('a', ['editor'], 'A.')))
      .undoing('c')
      .leaves(changedSince('link a', 'y')));
  test('leaves a link that somebody took away since', () =>
    past(book('a'), by('c', changed('a', ['editor'])), by('y', unlinked('a')))
      .undoing('c')
      .leaves(changedSince('link a', 'y')));
  test('changes a link that waits for its author', () =>
    pastWith({ a: { id: 'a', status: 'removed' } })(book('a'), by('c', changed('a', ['editor'])))
      .undoing('c')
      .gives(changed('a')));
  test('back and forth has nothing to do', () =>
    past(book('a'), by('c', changed('a', ['editor']), changed('a')))
      .undoing('c')
      .nothing());
});

describe('undoing an order', () => {
  test('gives the old order', () =>
    past(book('a', 'b', 'c'), by('c', reordered('c', 'a', 'b'), reordered('c', 'b', 'a')))
      .undoing('c')
      .gives(reordered('a', 'b', 'c')));
  test('leaves an order that somebody changed since', () =>
    past(book('a', 'b', 'c'), by('c', reordered('c', 'b', 'a')), by('y', reordered('b', 'c', 'a')))
      .undoing('c')
      .leaves(changedSince('order', 'y')));
  test('orders those who are still there, and lets others keep their places', () =>
    past(
      book('a', 'b', 'c', 'd'),
      by('c', reordered('d', 'c', 'b', 'a')),
      by('y', unlinked('c'), linked(2, 'z'), linked(5, 'w')),
    )
      .undoing('c')
      .gives(reordered('a', 'z', 'b', 'd', 'w')));
  test('has nothing to do if too few are still there', () =>
    past(book('a', 'b'), by('c', reordered('b', 'a')), by('y', unlinked('a')))
      .undoing('c')
      .nothing());
  test('together with unlinks and links of the same change gives the old list', () => {
    past(book('a', 'b', 'c', 'd'), by('c', unlinked('b'), linked(1, 'z'), reordered('d', 'c', 'z', 'a')))
      .undoing('c')
      .gives(unlinked('z'), linked(4, 'b'), reordered('a', 'b', 'c', 'd'));
    past(book('a', 'b', 'c'), by('c', reordered('c', 'b', 'a'), unlinked('b')))
      .undoing('c')
      .gives(linked(2, 'b'), reordered('a', 'b', 'c'));
  });
  test('between which somebody else ordered too gives that one’s order', () =>
    past(
      book('a', 'b', 'c'),
      by('c', unlinked('b')),
      by('y', reordered('c', 'a')),
      by('c', reordered('a', 'c')),
    )
      .undoing('c')
      .gives(linked(2, 'b'), reordered('c', 'a', 'b')));
  test('lets those stand where they are whom somebody put in since', () =>
    past(book('a', 'b', 'c'), by('c', reordered('c', 'b', 'a')), by('y', unlinked('a'), linked(3, 'a')))
      .undoing('c')
      .gives(reordered('b', 'c', 'a')));
  test('leaves an order of whom somebody took one out while it was asked for', () =>
    past(book('a', 'b'), by('c', reordered('b', 'a')), by('y', unlinked('a')))
      .undoing('c', { before: 4n })
      .leaves(changedSince('order', 'y')));
  test('can be undone, and done again', () => {
    const once = [book('a', 'b'), by('c', reordered('b', 'a')), reverting('c', 'r', reordered('a', 'b'))];
    past(...once)
      .undoing('r')
      .gives(reordered('b', 'a'));
    past(...once, by('y', linked(1, 'z')), reverting('r', 'rr', reordered('z', 'b', 'a')))
      .undoing('c')
      .gives(reordered('z', 'a', 'b'));
  });
});

describe('undoing a removal', () => {
  test('restores the book as of its removal', () =>
    past(book('a', 'b'), by('c', removed))
      .undoing('c')
      .gives(restored(link('a'), link('b'))));
  test('after other events of the same change undoes these too', () =>
    past(book('a', 'b'), by('c', unlinked('a'), retitled('Mort'), removed))
      .undoing('c')
      .gives(restoredAs('Mort', link('b')), titledBack, linked(1, 'a')));
  test('leaves a book that somebody restored since', () =>
    past(book('a'), by('c', removed), by('y', restored(link('a'))))
      .undoing('c')
      .leaves(changedSince('removed', 'y')));
  test('leaves a book that somebody restored and removed since', () =>
    past(book('a'), by('c', removed), by('y', restored(link('a'))), by('z', removed))
      .undoing('c')
      .leaves(changedSince('removed', 'z')));
  test('undoes the rest of the change if somebody restored the book since', () =>
    past(book('a'), by('c', retitled('Mort'), removed), by('y', restoredAs('Mort', link('a'))))
      .undoing('c')
      .leaving(changedSince('removed', 'y'))
      .gives(titledBack));
});

describe('undoing a restore', () => {
  test('removes the book again', () =>
    past(book('a'), by('y', removed), by('c', restored(link('a'))))
      .undoing('c')
      .gives(removed));
  test('undoes what else the change did first', () =>
    past(book('a'), by('y', removed), by('c', restored(link('a')), linked(2, 'b')))
      .undoing('c')
      .gives(unlinked('b'), removed));
  test('by an older version, which left out links to removed authors, links these again first', () =>
    past(book('a', 'b'), by('y', removed), by('c', restored(link('b'))))
      .undoing('c')
      .gives(linked(1, 'a'), removed));
  test('after which the change removed the book again changes the rest only', () =>
    past(book(), by('y', removed), by('c', restored(), retitled('Mort'), removed))
      .undoing('c')
      .gives(restoredAs('Mort'), titledBack, removed));
});

describe('undoing a merge', () => {
  const merge = (...authors: string[]) => {
    const before = book(...authors);
    return [
      before,
      by('c', ...joinSurvivor(historyOf([before]), { authorId: 'a', name: 'A. Uthor', into: 's' })),
    ];
  };
  test('puts the author back in the place of the survivor', () =>
    past(...merge('b', 'a', 'd'))
      .undoing('c')
      .gives(relinked('s', 2, 'a')));
  test.each([
    [['a', 'b', 's'], 1, 3],
    [['s', 'b', 'a'], 3, 1],
    [['b', 'a', 'd', 's', 'e'], 2, 4],
  ])('of two authors of one book, %j, puts both back', (authors, place, survivorsPlace) => {
    const others = authors.filter((id) => id !== 's');
    past(...merge(...authors))
      .undoing('c')
      .gives(relinked('s', others.indexOf('a') + 1, 'a'), linked(survivorsPlace, 's'));
    expect(authors.indexOf('a') + 1).toBe(place);
  });
  test('can be undone, and done again', () => {
    const once = [...merge('a', 'b', 's'), reverting('c', 'r', relinked('s', 1, 'a'), linked(3, 's'))];
    past(...once)
      .undoing('r')
      .gives(relinked('a', 1, 's'));
    past(...once, reverting('r', 'rr', relinked('a', 1, 's')))
      .undoing('c')
      .gives(relinked('s', 1, 'a'), linked(3, 's'));
  });
  test('leaves both links if somebody changed the survivor’s since', () =>
    past(...merge('b', 'a'), by('y', changed('s', ['editor'])))
      .undoing('c')
      .leaves(changedSince('link a', 'y'), changedSince('link s', 'y')));
  test('leaves both links if somebody linked the old author again since', () =>
    past(...merge('b', 'a', 's'), by('y', linked(1, 'a')))
      .undoing('c')
      .leaves(changedSince('link a', 'y'), changedSince('link s', 'y')));
  test('leaves both links if the survivor was merged on', () =>
    past(...merge('b', 'a'), by('y', relinked('s', 2, 't')))
      .undoing('c')
      .leaves(changedSince('link a', 'y'), changedSince('link s', 'y')));
  test('leaves both links if the old author does not come back', () => {
    for (const standing of [
      { id: 's', status: 'live' },
      { id: 'a', status: 'removed' },
    ] as const)
      pastWith({ a: standing })(...merge('b', 'a'))
        .undoing('c')
        .leaves({ fact: 'link a', why: 'author-removed' }, { fact: 'link s', why: 'author-removed' });
  });
  test('leaves a whole chain of relinks of one change', () =>
    past(
      book('a', 'b'),
      by('c', relinked('a', 1, 's'), relinked('s', 1, 't')),
      by('y', changed('t', ['editor'])),
    )
      .undoing('c')
      .leaves(changedSince('link a', 'y'), changedSince('link s', 'y'), changedSince('link t', 'y')));
  test('of a chain of relinks of one change puts the first author back', () =>
    past(book('b', 'a'), by('c', relinked('a', 2, 's'), relinked('s', 2, 't')))
      .undoing('c')
      .gives(unlinked('t'), linked(2, 'a')));
  test('of a book whose author was merged twice, by way of another link, leaves neither survivor', () =>
    past(
      book('b', 'a'),
      by('c', relinked('a', 2, 's')),
      by('y', linked(1, 'a')),
      by('c', relinked('a', 1, 't')),
    )
      .undoing('c')
      .gives(unlinked('s'), relinked('t', 1, 'a')));
  test('lets an order by somebody else stand', () => {
    past(...merge('a', 'b', 'd'), by('y', reordered('b', 's', 'd')))
      .undoing('c')
      .gives(relinked('s', 2, 'a'));
    past(...merge('a', 'b', 'd', 's'), by('y', reordered('d', 's', 'b')))
      .undoing('c')
      .gives(relinked('s', 1, 'a'), linked(3, 's'));
  });
  test('of a book that linked the author again meanwhile gives that link back', () =>
    past(...merge('b', 'a'), by('y', linked(1, 'a', ['editor'])), by('c', relinked('a', 1, 's')))
      .undoing('c')
      .gives(relinked('s', 1, 'a', ['editor'])));
  test('leaves a book that somebody removed since', () =>
    past(...merge('b', 'a'), by('y', removed))
      .undoing('c')
      .leaves(changedSince('link a', 'y'), changedSince('link s', 'y')));
});

describe('several changes of one fact', () => {
  const twice = [book('a'), by('c', changed('a', ['editor'])), by('d', changed('a', ['translator']))];
  test('are undone from the last to the first', () => {
    past(...twice)
      .undoing('c')
      .leaves(changedSince('link a', 'd'));
    past(...twice, reverting('d', 'r', changed('a', ['editor'])))
      .undoing('c')
      .gives(changed('a'));
  });
});

test('a book that would be beyond its limits is refused', () => {
  const many = Array.from({ length: MAX_AUTHORS }, (_, n) => linked(1, `${n}`));
  const acts = [book('a'), by('c', unlinked('a')), by('y', ...many)];
  expect(() => past(...acts).undoing('c')).toThrow(new TooManyAuthors());
});

test('a book that the change did not touch stays', () => {
  past(book('a'), by('y', retitled('Mort')))
    .undoing('c')
    .nothing();
  past().undoing('c').nothing();
});

describe('a policy that is still at it while its change is undone', () => {
  const acts = [book('a', 'b'), { ...by('c', unlinked('a')), because: 'removal' }];
  const late = { before: 3n, causes: new Set(['removal']) };
  test('has what it did later undone too', () =>
    past(...acts)
      .undoing('c', late)
      .gives(linked(1, 'a')));
  test('has it undone even if the undoing came first', () =>
    past(book('a', 'b'), by('c', retitled('Mort')), reverting('c', 'undoing', titledBack), {
      ...by('c', unlinked('a')),
      because: 'removal',
    })
      .undoing('c', { before: 4n, causes: late.causes })
      .gives(linked(1, 'a')));
});

describe('what the one who undoes has to know first', () => {
  const undo = (change: string, before: bigint): Undo => ({ change, by: 'undoing', before });
  test('is how authors stand whom undoing may link', () => {
    const acts = [book('a', 'b'), by('c', unlinked('a'), changed('b', ['editor']), linked(2, 'z'))];
    expect(authorsToAsk(historyOf(acts), undo('c', 6n))).toEqual(['a', 'b']);
  });
  test('is whether a book holds an author who was added', () => {
    const holds = (...acts: Act<BookEvent>[]) => holdsAuthor(historyOf(acts), undo('c', 3n), 'a');
    expect(holds(book('a', 'b'))).toBe(true);
    expect(holds(book('b', 'd'))).toBe(false);
    expect(holds(by('x', added, linked(1, 'a'), removed))).toBe(false);
    expect(
      holds(by('c', added, linked(1, 'a')), by('x', retitled('Mort')), reverting('c', 'undoing', removed)),
    ).toBe(false);
    // Somebody linked the author after the undoing was asked for. That counts even if it was taken back.
    expect(holds(book('b', 'd'), by('y', linked(1, 'a'), unlinked('a')))).toBe(true);
    // Somebody unlinked the author after the undoing was asked for: the undoing had left the author by then.
    expect(holds(book('a', 'b'), by('y', unlinked('a')))).toBe(true);
  });
});
