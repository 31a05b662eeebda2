import { act, historyOf, pasts, revertOf } from '../../test/support/happened.js';
import type { AuthorEvent } from './author.events.js';
import { authorAsKnown, comesBack, revertAuthor, survivorToAsk } from './author-reversal.js';

const by = act<AuthorEvent>;
const reverting = revertOf<AuthorEvent>;
const past = pasts<AuthorEvent>((history, undo) => revertAuthor(history, undo, 0));
const withBooks = pasts<AuthorEvent>((history, undo) => revertAuthor(history, undo, 2));
const added: AuthorEvent = { type: 'AuthorAdded', data: { name: 'Mary Ann Evans', key: 'k' } };
const renamed = (name: string): AuthorEvent => ({ type: 'AuthorRenamed', data: { name } });
const removed: AuthorEvent = { type: 'AuthorRemoved', data: {} };
const removedWithBooks: AuthorEvent = { type: 'AuthorRemoved', data: { books: 'unlink' } };
const merged: AuthorEvent = { type: 'AuthorMerged', data: { into: 'survivor' } };
const restored = (name = 'Mary Ann Evans'): AuthorEvent => ({
  type: 'AuthorRestored',
  data: { name, key: 'k' },
});
const changedSince = (fact: string, since: string) => ({ fact, why: 'changed-since' as const, since });

describe('undoing the addition of an author', () => {
  test('removes the author', () => past(by('c', added)).undoing('c').gives(removed));
  test('and of all the change did to the author removes the author', () =>
    past(by('c', added, renamed('George Eliot')))
      .undoing('c')
      .gives(removed));
  test('leaves an author whom somebody renamed since, whole', () =>
    past(by('c', added, renamed('G. Eliot')), by('x', renamed('George Eliot')))
      .undoing('c')
      .leaves(changedSince('added', 'x')));
  test('removes an author whose renaming since was reverted', () =>
    past(by('c', added), by('x', renamed('George Eliot')), reverting('x', 'r', renamed('Mary Ann Evans')))
      .undoing('c')
      .gives(removed));
  test('leaves an author whom somebody removed since', () =>
    past(by('c', added), by('x', removed)).undoing('c').leaves(changedSince('added', 'x')));
  test('leaves an author whom somebody merged since', () =>
    past(by('c', added), by('x', merged)).undoing('c').leaves(changedSince('added', 'x')));
  test('leaves an author with books', () =>
    withBooks(by('c', added)).undoing('c').leaves({ fact: 'added', why: 'author-has-books' }));
  test('has nothing to do if the change itself removed the author', () =>
    past(by('c', added, removed))
      .undoing('c')
      .nothing());
  test('can be undone, and done again', () => {
    const once = [by('c', added, renamed('George Eliot')), reverting('c', 'r', removed)];
    const twice = [...once, reverting('r', 'rr', restored('George Eliot'))];
    past(...once)
      .undoing('r')
      .gives(restored('George Eliot'));
    past(...twice)
      .undoing('c')
      .gives(removed);
    past(...twice)
      .undoing('r')
      .nothing();
  });
  test('leaves an author whom another import brought back since', () =>
    past(by('c', added), reverting('c', 'r', removed), by('d', restored()))
      .undoing('c')
      .leaves(changedSince('added', 'd')));
});

describe('undoing what another import brought back', () => {
  const again = [by('c', added), reverting('c', 'r', removed), by('d', restored(), renamed('George Eliot'))];
  test('renames the author back and removes the author', () =>
    past(...again)
      .undoing('d')
      .gives(renamed('Mary Ann Evans'), removed));
  test('is not taken up again when the author has no books any more', () =>
    past(...again, reverting('d', 'undoing', renamed('Mary Ann Evans')))
      .undoing('d', { before: 4n })
      .nothing());
  test('of an author with books renames the author back', () =>
    withBooks(...again)
      .undoing('d')
      .leaving({ fact: 'restored', why: 'author-has-books' })
      .gives(renamed('Mary Ann Evans')));
});

test('undoing a restore with a renaming and a removal leaves the author removed, under the old name', () =>
  past(by('x', added), by('y', removed), by('c', restored(), renamed('George Eliot'), removed))
    .undoing('c')
    .gives(restored('George Eliot'), renamed('Mary Ann Evans'), removed));

describe('undoing a renaming', () => {
  test('gives the old name', () =>
    past(by('x', added), by('c', renamed('G. Eliot'), renamed('George Eliot')))
      .undoing('c')
      .gives(renamed('Mary Ann Evans')));
  test('leaves an author whom somebody renamed since', () =>
    past(by('x', added), by('c', renamed('G. Eliot')), by('y', renamed('George Eliot')))
      .undoing('c')
      .leaves(changedSince('name', 'y')));
  test('leaves an author whom somebody removed since', () =>
    past(by('x', added), by('c', renamed('G. Eliot')), by('y', removed))
      .undoing('c')
      .leaves(changedSince('name', 'y')));
  test('leaves an author whom somebody removed while it was asked for, and restored', () => {
    const acts = [by('x', added), by('c', renamed('G. Eliot')), by('y', removed)];
    for (const later of [[], [by('z', restored('G. Eliot'))]])
      past(...acts, ...later)
        .undoing('c', { before: 2n })
        .leaves(changedSince('name', 'y'));
  });
  test('does nothing to an author who has the old name', () =>
    past(by('x', added), by('c', renamed('George Eliot'), renamed('Mary Ann Evans')))
      .undoing('c')
      .nothing());
  test('of an author who was removed and restored since renames the author back', () =>
    past(by('x', added), by('c', renamed('G. Eliot')), by('y', removed), by('z', restored('G. Eliot')))
      .undoing('c')
      .gives(renamed('Mary Ann Evans')));
});

describe('undoing a removal', () => {
  test.each([removed, removedWithBooks])('restores the author, with name and key', (removal) =>
    past(by('x', added), by('c', removal)).undoing('c').gives(restored()),
  );
  test('after a renaming in the same change gives the old name too', () =>
    past(by('x', added), by('c', renamed('George Eliot'), removed))
      .undoing('c')
      .gives(restored('George Eliot'), renamed('Mary Ann Evans')));
  test('leaves an author whom somebody restored since', () =>
    past(by('x', added), by('c', removed), by('y', restored()))
      .undoing('c')
      .leaves(changedSince('removed', 'y')));
  test('leaves an author whom somebody restored and removed since', () =>
    past(by('x', added), by('c', removed), by('y', restored()), by('z', removed))
      .undoing('c')
      .leaves(changedSince('removed', 'z')));
  test('can be undone, without a word about books', () =>
    past(by('x', added), by('c', removedWithBooks), reverting('c', 'r', restored()))
      .undoing('r')
      .gives(removed));
  test('can be undone and done again', () =>
    past(
      by('x', added),
      by('c', removedWithBooks),
      reverting('c', 'r', restored()),
      reverting('r', 'rr', removed),
    )
      .undoing('c')
      .gives(restored()));
});

test('undoing a restore removes the author again, but not one with books', () => {
  const acts = [by('x', added), by('y', removedWithBooks), by('c', restored())];
  past(...acts)
    .undoing('c')
    .gives(removed);
  withBooks(...acts)
    .undoing('c')
    .leaves({ fact: 'restored', why: 'author-has-books' });
});

describe('undoing a merge', () => {
  const once = [by('x', added), by('c', merged)];
  const reverted = [...once, reverting('c', 'r', restored())];
  test('brings the author back', () =>
    past(...once)
      .undoing('c')
      .gives(restored()));
  test('can be undone', () =>
    past(...reverted)
      .undoing('r')
      .gives(merged));
  test('can be undone and done again', () =>
    past(...reverted, reverting('r', 'rr', merged))
      .undoing('c')
      .gives(restored()));
  test('can be undone only if the survivor is there', () =>
    pasts<AuthorEvent>((history, undo) => revertAuthor(history, undo, 0, false))(...reverted)
      .undoing('r')
      .leaves({ fact: 'restored', why: 'author-removed' }));
  test('can be undone only if no book links the author', () =>
    withBooks(...reverted)
      .undoing('r')
      .leaves({ fact: 'restored', why: 'author-has-books' }));
  test('leaves an author whom somebody merged elsewhere since', () =>
    past(...reverted, by('y', { type: 'AuthorMerged', data: { into: 'other' } }))
      .undoing('c')
      .leaves(changedSince('merged', 'y')));
  test('that was taken back at once has nothing to do', () =>
    past(by('x', added), by('c', merged, restored()))
      .undoing('c')
      .nothing());
});

test('an author whom the change did not touch stays', () =>
  past(by('x', added), by('y', renamed('George Eliot')))
    .undoing('c')
    .nothing());

describe('what the one who undoes has to know first', () => {
  const undo = (change: string, before: bigint) => ({ change, by: 'undoing', before });
  test('is whether the author comes back', () => {
    const acts = [by('x', added), by('c', removed)];
    expect(comesBack(historyOf(acts), undo('c', 2n))).toBe(true);
    expect(comesBack(historyOf(acts), undo('x', 2n))).toBe(false);
    expect(comesBack(historyOf([...acts, by('y', restored())]), undo('c', 3n))).toBe(false);
  });
  test('is who would take over again', () => {
    const acts = [by('x', added), by('c', merged), reverting('c', 'r', restored())];
    expect(survivorToAsk(historyOf(acts), undo('r', 3n))).toBe('survivor');
    expect(survivorToAsk(historyOf(acts), undo('c', 3n))).toBeUndefined();
  });
  test('is the author as of the time at which the undoing was asked for, and after what it did', () => {
    const acts = [by('x', added), by('c', removed), by('y', restored())];
    expect(authorAsKnown(historyOf(acts), undo('c', 2n)).status).toBe('removed');
    const done = [by('x', added), by('c', removed), reverting('c', 'undoing', restored()), by('y', removed)];
    expect(authorAsKnown(historyOf(done), undo('c', 2n)).status).toBe('live');
  });
});
