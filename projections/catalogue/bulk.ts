import type { ClientBase } from 'pg';
import { AUTHOR } from '../../src/authors/author.events.js';
import { categoryOf, type ProjectableEvent } from '../../src/event-store/event-store.js';
import type { Bulk } from '../projection.js';
import { sender } from '../send.js';
import { ALL_WORDS, ownWords } from './book-words.js';
import {
  AUTHOR_COLUMNS,
  BOOK_COLUMNS,
  BOOK_WORDS_COLUMNS,
  LINK_COLUMNS,
  MERGED_COLUMNS,
  namesOf,
  REMOVED_COLUMNS,
  valuesOf,
} from './columns.js';
import { foldAuthor, foldBook } from './fold.js';
import { resolveRedirects } from './redirects.js';
import type { AuthorRow, BookRow, Known, Standing } from './rows.js';
import { fillAuthorsWithoutBooks } from './without-books.js';

const LINKS = namesOf(LINK_COLUMNS);
const BOOK_WORDS = namesOf(BOOK_WORDS_COLUMNS);

/** Builds the catalogue one author or one book at a time. */
export const bulk: Bulk = {
  columns: {
    authors: AUTHOR_COLUMNS.map(({ name }) => name),
    books: BOOK_COLUMNS.map(({ name }) => name),
    author_book: LINK_COLUMNS.map(({ name }) => name),
    book_words: BOOK_WORDS_COLUMNS.map(({ name }) => name),
    author_redirects: MERGED_COLUMNS.map(({ name }) => name),
    removed: REMOVED_COLUMNS.map(({ name }) => name),
  },

  fold: (standing, event: ProjectableEvent) =>
    categoryOf(event.stream) === AUTHOR
      ? foldAuthor(standing as Standing<AuthorRow>, event)
      : foldBook(standing as Standing<BookRow>, event),

  rows: (stream, standing, add) => {
    const kind = categoryOf(stream);
    const known = standing as Known<AuthorRow | BookRow>;
    if ('removed' in known) {
      const { id: authorId, into: intoId } = known.removed;
      add('removed', valuesOf(REMOVED_COLUMNS, { kind, ...known.removed }));
      // The survivor is settled later.
      if (intoId !== undefined)
        add('author_redirects', valuesOf(MERGED_COLUMNS, { authorId, intoId, survivorId: intoId }));
    } else if ('name' in known.row) add('authors', valuesOf(AUTHOR_COLUMNS, known.row));
    else {
      const { id: bookId, links } = known.row;
      add('books', valuesOf(BOOK_COLUMNS, known.row));
      // Without the words of the authors, which settle adds.
      add('book_words', valuesOf(BOOK_WORDS_COLUMNS, { ...known.row, words: ownWords(known.row) }));
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
    const send = sender(client);
    await resolveRedirects(send);
    await fillAuthorsWithoutBooks(send);
    const { rows } = await client.query<{ kind: string }>(
      `select case relpersistence when 'u' then 'unlogged' else '' end as kind
       from pg_class where oid = 'book_words'::regclass`,
    );
    // A second table is faster than an update, which would leave every row twice.
    await client.query(
      `begin;
       set local work_mem = '64MB';
       alter table book_words rename to own_words;
       create ${rows[0]?.kind} table book_words (like own_words);
       with made as (
         select own.*, own.words as own, coalesce(linked.authors, '') as authors
         from own_words own left join (
           select l.book_id, string_agg(a.words, '' order by l.position) as authors
           from author_book l join authors a on a.id = l.author_id group by l.book_id
         ) linked on linked.book_id = own.book_id
       )
       insert into book_words (${BOOK_WORDS}) select book_id, title_sort, created_at, ${ALL_WORDS} from made;
       drop table own_words;
       commit;
       analyze book_words; analyze authors_without_books`,
    );
  },
};
