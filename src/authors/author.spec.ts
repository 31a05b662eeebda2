import { scenarios } from '../../test/support/given.js';
import {
  addAuthor,
  evolveAuthor,
  importAuthor,
  mergeAuthor,
  removeAuthor,
  renameAuthor,
  restoreAuthor,
  unknownAuthor,
} from './author.js';
import { BOOKS_OF_REMOVED, type AuthorEvent } from './author.events.js';

const given = scenarios(unknownAuthor, evolveAuthor);
const added: AuthorEvent = { type: 'AuthorAdded', data: { name: 'Mary Ann Evans' } };
const renamed: AuthorEvent = { type: 'AuthorRenamed', data: { name: 'George Eliot' } };
const removed: AuthorEvent = { type: 'AuthorRemoved', data: {} };
const restored: AuthorEvent = { type: 'AuthorRestored', data: { name: 'Mary Ann Evans' } };
const name = 'George Eliot';
const merged: AuthorEvent = { type: 'AuthorMerged', data: { into: 'eliot' } };
/** As part of a revert of a change. */
const reverting = <Event extends AuthorEvent>(event: Event) => ({
  ...event,
  metadata: { reverts: 'import' },
});

describe('adding an author', () => {
  test('adds it by its name', () =>
    given()
      .when((author) => addAuthor(author, { name: 'Mary Ann Evans' }))
      .then(added));
  test('is refused where the id is taken', () =>
    given(added)
      .when((author) => addAuthor(author, { name }))
      .refuses('author-already-exists'));
  test('is refused where the id was taken and removed', () =>
    given(added, removed)
      .when((author) => addAuthor(author, { name }))
      .refuses('author-already-exists'));
});

describe('renaming an author', () => {
  test('gives it the new name', () =>
    given(added)
      .when((author) => renameAuthor(author, { name }))
      .then(renamed));
  test('to the name it has changes nothing', () =>
    given(added, renamed)
      .when((author) => renameAuthor(author, { name }))
      .nothing());
  test('is refused for an unknown author', () =>
    given()
      .when((author) => renameAuthor(author, { name }))
      .refuses('author-not-found'));
  test('is refused for a removed author', () =>
    given(added, removed)
      .when((author) => renameAuthor(author, { name }))
      .refuses('author-removed'));
  test('is refused for a merged author, with the survivor', () =>
    given(added, merged)
      .when((author) => renameAuthor(author, { name }))
      .refuses('author-merged', undefined, { survivor: 'eliot' }));
});

describe('removing an author', () => {
  test('without books removes it', () =>
    given(added)
      .when((author) => removeAuthor(author, { books: 0 }))
      .then(removed));
  test('with books is refused', () =>
    given(added)
      .when((author) => removeAuthor(author, { books: 2 }))
      .refuses('author-has-books'));
  test.each(BOOKS_OF_REMOVED)('that says %s of the books removes it, and says so', (books) =>
    given(added)
      .when((author) => removeAuthor(author, { books }))
      .then({ type: 'AuthorRemoved', data: { books } }),
  );
  test('a second time changes nothing', () => {
    for (const books of [0, ...BOOKS_OF_REMOVED])
      given(added, removed)
        .when((author) => removeAuthor(author, { books }))
        .nothing();
  });
  test('is refused for a merged author', () =>
    given(added, merged)
      .when((author) => removeAuthor(author, { books: 'unlink' }))
      .refuses('author-merged'));
  test('is refused for an unknown author', () =>
    given()
      .when((author) => removeAuthor(author, { books: 0 }))
      .refuses('author-not-found'));
});

describe('restoring an author', () => {
  test('brings it back under its last name', () =>
    given(added, renamed, removed).when(restoreAuthor).then({ type: 'AuthorRestored', data: { name } }));
  test('keeps the key of its source', () => {
    const withKey: AuthorEvent = { type: 'AuthorRestored', data: { name, key: 'k' } };
    given({ type: 'AuthorAdded', data: { name: 'Mary Ann Evans', key: 'k' } }, renamed, removed)
      .when(restoreAuthor)
      .then(withKey);
    given({ type: 'AuthorAdded', data: { name, key: 'k' } }, removed, withKey, removed)
      .when(restoreAuthor)
      .then(withKey);
  });
  test('that is there changes nothing', () => given(added, removed, restored).when(restoreAuthor).nothing());
  test('is refused for an unknown author', () => given().when(restoreAuthor).refuses('author-not-found'));
  test('is refused for a merged author', () =>
    given(added, merged).when(restoreAuthor).refuses('author-merged'));
  test('by a revert brings a merged author back', () =>
    given({ type: 'AuthorAdded', data: { name: 'Mary Ann Evans', key: 'k' } }, merged, reverting(restored))
      .when((author) => renameAuthor(author, { name }))
      .then(renamed));
});

describe('merging an author', () => {
  const into = { id: 'eliot', status: 'live' } as const;
  const id = 'evans';

  test('says into whom', () =>
    given(added)
      .when((author) => mergeAuthor(author, { id, into }))
      .then(merged));
  test('into the same survivor again changes nothing', () =>
    given(added, merged)
      .when((author) => mergeAuthor(author, { id, into, survivor: 'eliot' }))
      .nothing());
  test('after a merge into another is refused', () =>
    given(added, merged)
      .when((author) => mergeAuthor(author, { id, into: { ...into, id: 'sand' }, survivor: 'eliot' }))
      .refuses('author-merged'));
  test('after a merge and a restore is like the first time', () =>
    given(added, merged, restored)
      .when((author) => mergeAuthor(author, { id, into: { ...into, id: 'sand' } }))
      .then({ type: 'AuthorMerged', data: { into: 'sand' } }));
  test('into itself, or into an author whose last survivor it is, is refused', () =>
    given(added)
      .when((author) => mergeAuthor(author, { id, into: { ...into, id } }))
      .refuses('merged-into-itself', '/into'));
  test.each([
    ['unknown', 'author-not-found'],
    ['removed', 'author-removed'],
  ] as const)('into an author who is %s is refused', (status, rule) =>
    given(added)
      .when((author) => mergeAuthor(author, { id, into: { ...into, status } }))
      .refuses(rule, '/into'),
  );
  test('is refused for an unknown author and for a removed one, whoever takes over', () => {
    for (const other of [into, { ...into, id }, { ...into, status: 'unknown' } as const]) {
      given()
        .when((author) => mergeAuthor(author, { id, into: other }))
        .refuses('author-not-found');
      given(added, removed)
        .when((author) => mergeAuthor(author, { id, into: other }))
        .refuses('author-removed');
    }
  });
});

describe('an imported line', () => {
  test('adds an unknown author', () =>
    given()
      .when((author) => importAuthor(author, { name: 'Mary Ann Evans' }))
      .then(added));
  test('adds an unknown author with the key of the source', () =>
    given()
      .when((author) => importAuthor(author, { name, key: 'k' }))
      .then({ type: 'AuthorAdded', data: { name, key: 'k' } }));
  test('changes nothing of an author who was imported before keys were kept', () =>
    given(added, renamed)
      .when((author) => importAuthor(author, { name, key: 'k' }))
      .nothing());
  test('renames an author that is called otherwise', () =>
    given(added)
      .when((author) => importAuthor(author, { name }))
      .then(renamed));
  test('changes nothing where all is as it says', () =>
    given(added, renamed)
      .when((author) => importAuthor(author, { name }))
      .nothing());
  test('is refused for a removed author', () =>
    given(added, removed)
      .when((author) => importAuthor(author, { name }))
      .refuses('author-removed'));
  test('brings an author back whom a revert removed, under the name of the line', () => {
    given(added, reverting(removed))
      .when((author) => importAuthor(author, { name }))
      .then(restored, renamed);
    given(added, reverting(removed))
      .when((author) => importAuthor(author, { name: 'Mary Ann Evans' }))
      .then(restored);
  });
  test('is refused for an author whom a caller removed after a revert had done so', () =>
    given(added, reverting(removed), restored, removed)
      .when((author) => importAuthor(author, { name }))
      .refuses('author-removed'));
  test('says nothing of a merged author', () =>
    given(added, merged)
      .when((author) => importAuthor(author, { name }))
      .nothing());
});
