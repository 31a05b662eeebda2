import type { ClientBase } from 'pg';
import { AUTHOR } from '../../src/authors/author.events.js';
import { categoryOf, type ProjectableEvent } from '../../src/event-store/event-store.js';
import type { Bulk } from '../projection.js';
import { AUTHOR_COLUMNS, BOOK_COLUMNS, LINK_COLUMNS, namesOf, REMOVED_COLUMNS, valuesOf } from './columns.js';
import { foldAuthor, foldBook } from './fold.js';
import type { AuthorRow, BookRow, Known, Standing } from './rows.js';

const LINKS = namesOf(LINK_COLUMNS);

/** Builds the catalogue one author or one book at a time. */
export const bulk: Bulk = {
  columns: {
    authors: AUTHOR_COLUMNS.map(({ name }) => name),
    books: BOOK_COLUMNS.map(({ name }) => name),
    author_book: LINK_COLUMNS.map(({ name }) => name),
    removed: REMOVED_COLUMNS.map(({ name }) => name),
  },

  fold: (standing, event: ProjectableEvent) =>
    categoryOf(event.stream) === AUTHOR
      ? foldAuthor(standing as Standing<AuthorRow>, event)
      : foldBook(standing as Standing<BookRow>, event),

  rows: (stream, standing, add) => {
    const kind = categoryOf(stream);
    const known = standing as Known<AuthorRow | BookRow>;
    if ('removed' in known) add('removed', valuesOf(REMOVED_COLUMNS, { kind, ...known.removed }));
    else if ('name' in known.row) add('authors', valuesOf(AUTHOR_COLUMNS, known.row));
    else {
      const { id: bookId, links } = known.row;
      add('books', valuesOf(BOOK_COLUMNS, known.row));
      links.forEach((link, index) =>
        add('author_book', valuesOf(LINK_COLUMNS, { ...link, bookId, position: index + 1 })),
      );
    }
  },

  settle: async (client: ClientBase) => {
    await client.query(
      `with waiting as (
         delete from author_book where not exists (select from authors where id = author_id) returning *)
       insert into waiting_links (${LINKS}) select ${LINKS} from waiting`,
    );
  },
};
