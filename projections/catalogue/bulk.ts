import type { ClientBase } from 'pg';
import { AUTHOR } from '../../src/authors/author.events.js';
import { categoryOf, type ProjectableEvent } from '../../src/event-store/event-store.js';
import type { Bulk } from '../projection.js';
import { foldAuthor, foldBook } from './fold.js';
import type { AuthorRow, BookRow, Known, Standing } from './rows.js';
import { searchText } from './search-text.js';
import { LINK_COLUMNS } from './store.js';

const stamps = ['revision', 'created_at', 'updated_at'];

/** Builds the catalogue one author or one book at a time. */
export const bulk: Bulk = {
  columns: {
    authors: ['id', 'name', 'name_search', ...stamps],
    books: ['id', 'title', 'title_search', ...stamps],
    author_book: LINK_COLUMNS.split(', '),
    removed: ['kind', 'id', 'revision', 'created_at', 'removed_at'],
  },

  fold: (standing, event: ProjectableEvent) =>
    categoryOf(event.stream) === AUTHOR
      ? foldAuthor(standing as Standing<AuthorRow>, event)
      : foldBook(standing as Standing<BookRow>, event),

  rows: (stream, standing, add) => {
    const kind = categoryOf(stream);
    const known = standing as Known<AuthorRow | BookRow>;
    if ('removed' in known) {
      const { id, revision, createdAt, removedAt } = known.removed;
      add('removed', [kind, id, revision, createdAt, removedAt]);
      return;
    }
    const { row } = known;
    const { id, revision, createdAt, updatedAt } = row;
    if ('name' in row) {
      add('authors', [id, row.name, searchText(row.name), revision, createdAt, updatedAt]);
      return;
    }
    add('books', [id, row.title, searchText(row.title), revision, createdAt, updatedAt]);
    row.links.forEach((link, index) => {
      const { authorId, roles, creditedAs, linkedAt, linkedBy, eventId } = link;
      add('author_book', [authorId, id, index + 1, roles, creditedAs, linkedAt, linkedBy, eventId]);
    });
  },

  settle: async (client: ClientBase) => {
    await client.query(
      `with detached as (
         delete from author_book where not exists (select from authors where id = author_id) returning *)
       insert into detached_links (${LINK_COLUMNS}) select ${LINK_COLUMNS} from detached`,
    );
  },
};
