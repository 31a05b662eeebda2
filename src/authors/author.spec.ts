import { scenarios } from '../../test/support/given.js';
import {
  addAuthor,
  evolveAuthor,
  importAuthor,
  removeAuthor,
  renameAuthor,
  restoreAuthor,
  unknownAuthor,
} from './author.js';
import type { AuthorEvent } from './author.events.js';

const given = scenarios(unknownAuthor, evolveAuthor);
const added: AuthorEvent = { type: 'AuthorAdded', data: { name: 'Mary Ann Evans' } };
const renamed: AuthorEvent = { type: 'AuthorRenamed', data: { name: 'George Eliot' } };
const removed: AuthorEvent = { type: 'AuthorRemoved', data: {} };
const restored: AuthorEvent = { type: 'AuthorRestored', data: { name: 'Mary Ann Evans' } };
const name = 'George Eliot';

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
  test('a second time changes nothing', () =>
    given(added, removed)
      .when((author) => removeAuthor(author, { books: 0 }))
      .nothing());
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
});
