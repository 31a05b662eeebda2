import { settled, type Send } from '../send.js';
import { AUTHOR } from '../../src/authors/author.events.js';
import { BOOK } from '../../src/books/book.events.js';
import { ALL_WORDS, authorWordsOf, bookWords, ownWords, ownWordsIn } from './book-words.js';
import {
  AUTHOR_COLUMNS,
  BOOK_COLUMNS,
  BOOK_WORDS_COLUMNS,
  LINK_COLUMNS,
  namesOf,
  REMOVED_COLUMNS,
  upsert,
  type PlacedLink,
} from './columns.js';
import type { AuthorRow, BookRow, Removed } from './rows.js';
import type { Named } from './load.js';
import { listing, unlist } from './without-books.js';

// Every function sends its statements before it waits for a result: see Send.

export async function storeAuthors(send: Send, rows: readonly AuthorRow[]): Promise<void> {
  if (rows.length > 0) await send(listing(upsert('authors', AUTHOR_COLUMNS, ['id'], rows)));
}

export async function storeBooks(send: Send, rows: readonly BookRow[]): Promise<void> {
  if (rows.length > 0) await send(upsert('books', BOOK_COLUMNS, ['id'], rows));
}

const LINKS = namesOf(LINK_COLUMNS);
const AUTHOR_IS_THERE = 'exists (select from authors where authors.id = new.author_id)';
const LINK_KEY = ['author_id', 'book_id'];

/**
 * Inserts or replaces links whose author has a row.
 * @returns whether there are others, which {@link storeWaitingLinks} stores.
 */
export async function storeLinks(send: Send, links: readonly PlacedLink[]): Promise<boolean> {
  if (links.length === 0) return false;
  const { rowCount } = await send(upsert('author_book', LINK_COLUMNS, LINK_KEY, links, AUTHOR_IS_THERE));
  return rowCount !== links.length;
}

export async function storeWaitingLinks(send: Send, links: readonly PlacedLink[]): Promise<void> {
  await send(upsert('waiting_links', LINK_COLUMNS, LINK_KEY, links, `not ${AUTHOR_IS_THERE}`));
}

/** Deletes links from `author_book` and `waiting_links`. */
export async function deleteLinks(send: Send, links: readonly { bookId: string; authorId: string }[]) {
  if (links.length === 0) return;
  const values = [links.map((link) => link.authorId), links.map((link) => link.bookId)];
  const statements = ['author_book', 'waiting_links'].map((table) => ({
    name: `delete-links-${table}`,
    text: `delete from ${table} using unnest($1::uuid[], $2::uuid[]) gone (author_id, book_id)
           where ${table}.author_id = gone.author_id and ${table}.book_id = gone.book_id`,
    values,
  }));
  await settled(statements.map(send));
}

/**
 * Deletes removed authors from the table. Links that raced the removal move to `waiting_links`.
 * @returns the ids of the books of these links.
 */
export async function removeAuthors(send: Send, removed: readonly Removed[]): Promise<string[]> {
  if (removed.length === 0) return [];
  const values = [removed.map(({ id }) => id)];
  const [moved] = await settled([
    send<BookOfLink>({
      text: `with waiting as (delete from author_book where author_id = any($1) returning *)
             insert into waiting_links (${LINKS}) select ${LINKS} from waiting returning book_id as "bookId"`,
      values,
    }),
    send({ text: 'delete from authors where id = any($1)', values }),
    remember(send, AUTHOR, removed),
    unlist(
      send,
      removed.map(({ id }) => id),
    ),
  ]);
  return moved.rows.map(({ bookId }) => bookId);
}

interface BookOfLink {
  readonly bookId: string;
}

/** Deletes removed books with their links and words. */
export async function removeBooks(send: Send, removed: readonly Removed[]): Promise<void> {
  if (removed.length === 0) return;
  const values = [removed.map(({ id }) => id)];
  await settled([
    ...['author_book', 'waiting_links', 'book_words'].map((table) =>
      send({ text: `delete from ${table} where book_id = any($1)`, values }),
    ),
    send({ text: 'delete from books where id = any($1)', values }),
    remember(send, BOOK, removed),
  ]);
}

/** Deletes restored authors or books from `removed`. */
export async function forgetRemoved(send: Send, kind: string, ids: readonly string[]): Promise<void> {
  if (ids.length > 0)
    await send({ text: 'delete from removed where kind = $1 and id = any($2)', values: [kind, ids] });
}

/**
 * Moves links that waited for these authors from `waiting_links` to `author_book`.
 * @returns the ids of the books of these links.
 */
export async function attachLinks(send: Send, authorIds: readonly string[]): Promise<string[]> {
  if (authorIds.length === 0) return [];
  const { rows } = await send<BookOfLink>({
    name: 'attach-links',
    text: `with attached as (delete from waiting_links where author_id = any($1) returning *),
             unlisted as (delete from authors_without_books where author_id in (select author_id from attached))
           insert into author_book (${LINKS}) select ${LINKS} from attached returning book_id as "bookId"`,
    values: [authorIds],
  });
  return rows.map(({ bookId }) => bookId);
}

/**
 * Stores the words of books. Words that are the same are not written.
 * @param named the authors of the books that have a row.
 */
export async function storeBookWords(
  send: Send,
  books: readonly BookRow[],
  named: ReadonlyMap<string, Named>,
): Promise<void> {
  if (books.length === 0) return;
  const rows = books.map((book) => {
    const words = book.links.map(({ authorId }) => named.get(authorId)?.words ?? '');
    return { ...book, words: bookWords(ownWords(book), words) };
  });
  const changed =
    '(book_words.title_sort, book_words.words) is distinct from (excluded.title_sort, excluded.words)';
  const stored = upsert('book_words', BOOK_WORDS_COLUMNS, ['book_id'], rows);
  await send({ ...stored, text: `${stored.text} where ${changed}` });
}

/** Stores the words of books of which only the authors changed: books of these authors, and these books. */
export async function refreshBookWords(
  send: Send,
  authorIds: readonly string[],
  bookIds: readonly string[],
): Promise<void> {
  if (authorIds.length + bookIds.length === 0) return;
  await send({
    name: 'refresh-book-words',
    text: `with touched as materialized (
             select unnest($2::uuid[]) as id union select book_id from author_book where author_id = any($1)
           ), made as materialized (
             select touched.id, ${ownWordsIn('old.words')} as own, ${authorWordsOf('touched.id')} as authors
             from touched
             cross join lateral (select words from book_words where book_id = touched.id offset 0) old)
           update book_words as old set words = ${ALL_WORDS} from made
           where old.book_id = made.id and old.words is distinct from ${ALL_WORDS}`,
    values: [authorIds, bookIds],
  });
}

async function remember(send: Send, kind: string, removed: readonly Removed[]): Promise<void> {
  const rows = removed.map((each) => ({ kind, ...each }));
  await send(upsert('removed', REMOVED_COLUMNS, ['kind', 'id'], rows));
}
