import type { ClientBase } from 'pg';
import { AUTHOR } from '../../src/authors/author.events.js';
import { BOOK } from '../../src/books/book.events.js';
import {
  AUTHOR_COLUMNS,
  BOOK_COLUMNS,
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

/** Deletes removed authors from the table. Links that raced the removal move to `waiting_links`. */
export async function removeAuthors(client: ClientBase, removed: readonly Removed[]): Promise<void> {
  if (removed.length === 0) return;
  const ids = removed.map(({ id }) => id);
  await client.query(
    `with waiting as (delete from author_book where author_id = any($1) returning *)
     insert into waiting_links (${LINKS}) select ${LINKS} from waiting`,
    [ids],
  );
  await client.query('delete from authors where id = any($1)', [ids]);
  await remember(client, AUTHOR, removed);
}

/** Deletes removed books with their links. */
export async function removeBooks(client: ClientBase, removed: readonly Removed[]): Promise<void> {
  if (removed.length === 0) return;
  const ids = removed.map(({ id }) => id);
  for (const table of ['author_book', 'waiting_links'])
    await client.query(`delete from ${table} where book_id = any($1)`, [ids]);
  await client.query('delete from books where id = any($1)', [ids]);
  await remember(client, BOOK, removed);
}

/** Deletes restored authors or books from `removed`. */
export async function forgetRemoved(client: ClientBase, kind: string, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await client.query('delete from removed where kind = $1 and id = any($2)', [kind, ids]);
}

/** Moves links that waited for these authors from `waiting_links` to `author_book`. */
export async function attachLinks(client: ClientBase, authorIds: readonly string[]): Promise<void> {
  if (authorIds.length === 0) return;
  await client.query({
    name: 'attach-links',
    text: `with attached as (delete from waiting_links where author_id = any($1) returning *)
           insert into author_book (${LINKS}) select ${LINKS} from attached`,
    values: [authorIds],
  });
}

async function remember(client: ClientBase, kind: string, removed: readonly Removed[]): Promise<void> {
  const rows = removed.map((each) => ({ kind, ...each }));
  await client.query(upsert('removed', REMOVED_COLUMNS, ['kind', 'id'], rows));
}
