import type { ClientBase } from 'pg';
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

export async function storeAuthors(client: ClientBase, rows: readonly AuthorRow[]): Promise<void> {
  if (rows.length > 0) await client.query(upsert('authors', AUTHOR_COLUMNS, ['id'], rows));
}

export async function storeBooks(client: ClientBase, rows: readonly BookRow[]): Promise<void> {
  if (rows.length > 0) await client.query(upsert('books', BOOK_COLUMNS, ['id'], rows));
}

const LINKS = namesOf(LINK_COLUMNS);
const AUTHOR_IS_THERE = 'exists (select from authors where authors.id = new.author_id)';
const LINK_KEY = ['author_id', 'book_id'];

/** Inserts or replaces links. Links whose author has no row wait in `waiting_links`. */
export async function storeLinks(client: ClientBase, links: readonly PlacedLink[]): Promise<void> {
  if (links.length === 0) return;
  const { rowCount } = await client.query(
    upsert('author_book', LINK_COLUMNS, LINK_KEY, links, AUTHOR_IS_THERE),
  );
  if (rowCount !== links.length)
    await client.query(upsert('waiting_links', LINK_COLUMNS, LINK_KEY, links, `not ${AUTHOR_IS_THERE}`));
}

/** Deletes links from `author_book` and `waiting_links`. */
export async function deleteLinks(
  client: ClientBase,
  links: readonly { bookId: string; authorId: string }[],
) {
  if (links.length === 0) return;
  const values = [links.map((link) => link.authorId), links.map((link) => link.bookId)];
  for (const table of ['author_book', 'waiting_links'])
    await client.query({
      name: `delete-links-${table}`,
      text: `delete from ${table} using unnest($1::uuid[], $2::uuid[]) gone (author_id, book_id)
             where ${table}.author_id = gone.author_id and ${table}.book_id = gone.book_id`,
      values,
    });
}

/**
 * Deletes removed authors from the table. Links that raced the removal move to `waiting_links`.
 * @returns the ids of the books of these links.
 */
export async function removeAuthors(client: ClientBase, removed: readonly Removed[]): Promise<string[]> {
  if (removed.length === 0) return [];
  const ids = removed.map(({ id }) => id);
  const { rows } = await client.query<BookOfLink>(
    `with waiting as (delete from author_book where author_id = any($1) returning *)
     insert into waiting_links (${LINKS}) select ${LINKS} from waiting returning book_id as "bookId"`,
    [ids],
  );
  await client.query('delete from authors where id = any($1)', [ids]);
  await remember(client, AUTHOR, removed);
  return rows.map(({ bookId }) => bookId);
}

interface BookOfLink {
  readonly bookId: string;
}

/** Deletes removed books with their links and words. */
export async function removeBooks(client: ClientBase, removed: readonly Removed[]): Promise<void> {
  if (removed.length === 0) return;
  const ids = removed.map(({ id }) => id);
  for (const table of ['author_book', 'waiting_links', 'book_words'])
    await client.query(`delete from ${table} where book_id = any($1)`, [ids]);
  await client.query('delete from books where id = any($1)', [ids]);
  await remember(client, BOOK, removed);
}

/** Deletes restored authors or books from `removed`. */
export async function forgetRemoved(client: ClientBase, kind: string, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await client.query('delete from removed where kind = $1 and id = any($2)', [kind, ids]);
}

/**
 * Moves links that waited for these authors from `waiting_links` to `author_book`.
 * @returns the ids of the books of these links.
 */
export async function attachLinks(client: ClientBase, authorIds: readonly string[]): Promise<string[]> {
  if (authorIds.length === 0) return [];
  const { rows } = await client.query<BookOfLink>({
    name: 'attach-links',
    text: `with attached as (delete from waiting_links where author_id = any($1) returning *)
           insert into author_book (${LINKS}) select ${LINKS} from attached returning book_id as "bookId"`,
    values: [authorIds],
  });
  return rows.map(({ bookId }) => bookId);
}

/** Stores the words of books. The rows of authors are in the tables. Words that are the same are not written. */
export async function storeBookWords(client: ClientBase, books: readonly BookRow[]): Promise<void> {
  if (books.length === 0) return;
  const authorIds = new Set(books.flatMap(({ links }) => links.map(({ authorId }) => authorId)));
  const { rows: authors } = await client.query<{ id: string; words: string }>({
    name: 'words-of-authors',
    text: 'select id, words from authors where id = any($1)',
    values: [[...authorIds]],
  });
  const wordsOf = new Map(authors.map(({ id, words }) => [id, words]));
  const rows = books.map((book) => {
    const words = book.links.map(({ authorId }) => wordsOf.get(authorId) ?? '');
    return { ...book, words: bookWords(ownWords(book), words) };
  });
  const changed =
    '(book_words.title_sort, book_words.words) is distinct from (excluded.title_sort, excluded.words)';
  const stored = upsert('book_words', BOOK_WORDS_COLUMNS, ['book_id'], rows);
  await client.query({ ...stored, text: `${stored.text} where ${changed}` });
}

/** Stores the words of books of which only the authors changed: books of these authors, and these books. */
export async function refreshBookWords(
  client: ClientBase,
  authorIds: readonly string[],
  bookIds: readonly string[],
): Promise<void> {
  if (authorIds.length + bookIds.length === 0) return;
  await client.query({
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

async function remember(client: ClientBase, kind: string, removed: readonly Removed[]): Promise<void> {
  const rows = removed.map((each) => ({ kind, ...each }));
  await client.query(upsert('removed', REMOVED_COLUMNS, ['kind', 'id'], rows));
}
