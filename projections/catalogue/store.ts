import type { ClientBase } from 'pg';
import { AUTHOR } from '../../src/authors/author.events.js';
import { BOOK } from '../../src/books/book.events.js';
import type { AuthorRow, BookRow, LinkRow, Removed } from './rows.js';
import { searchText } from './search-text.js';

/** Inserts or replaces all rows in one statement. */
export async function storeAuthors(client: ClientBase, rows: readonly AuthorRow[]): Promise<void> {
  if (rows.length === 0) return;
  await client.query({
    name: 'store-authors',
    text: `insert into authors (id, name, name_search, revision, created_at, updated_at)
           select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
           on conflict (id) do update set name = excluded.name, name_search = excluded.name_search,
             revision = excluded.revision, updated_at = excluded.updated_at`,
    values: [
      rows.map((row) => row.id),
      rows.map((row) => row.name),
      rows.map((row) => searchText(row.name)),
      rows.map((row) => row.revision.toString()),
      rows.map((row) => row.createdAt.toISOString()),
      rows.map((row) => row.updatedAt.toISOString()),
    ],
  });
}

export async function storeBooks(client: ClientBase, rows: readonly BookRow[]): Promise<void> {
  if (rows.length === 0) return;
  await client.query({
    name: 'store-books',
    text: `insert into books (id, title, title_search, revision, created_at, updated_at)
           select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
           on conflict (id) do update set title = excluded.title, title_search = excluded.title_search,
             revision = excluded.revision, updated_at = excluded.updated_at`,
    values: [
      rows.map((row) => row.id),
      rows.map((row) => row.title),
      rows.map((row) => searchText(row.title)),
      rows.map((row) => row.revision.toString()),
      rows.map((row) => row.createdAt.toISOString()),
      rows.map((row) => row.updatedAt.toISOString()),
    ],
  });
}

/** A link with its book, and its position in the book's list. */
export interface PlacedLink extends LinkRow {
  readonly bookId: string;
  readonly position: number;
}

/** Inserts or replaces links. Links whose author has no row wait in `detached_links`. */
export async function storeLinks(client: ClientBase, links: readonly PlacedLink[]): Promise<void> {
  if (links.length === 0) return;
  const values = [
    links.map((link) => link.authorId),
    links.map((link) => link.bookId),
    links.map((link) => link.position),
    // PostgreSQL requires all inner arrays of an array to have the same length.
    links.map((link) => link.roles.join()),
    links.map((link) => link.creditedAs),
    links.map((link) => link.linkedAt.toISOString()),
    links.map((link) => link.linkedBy),
    links.map((link) => link.eventId),
  ];
  const { rowCount } = await client.query({
    name: 'store-links',
    text: insertLinks('author_book', ''),
    values,
  });
  if (rowCount !== links.length)
    await client.query({ name: 'detach-links', text: insertLinks('detached_links', 'not'), values });
}

/** Listed by name, because a table changed over several versions may have its columns in another order. */
export const LINK_COLUMNS =
  'author_id, book_id, position, roles, credited_as, linked_at, linked_by, event_id';

const insertLinks = (table: string, not: '' | 'not') => `
  insert into ${table} (${LINK_COLUMNS})
  select author_id, book_id, position, string_to_array(roles, ','), credited_as, linked_at, linked_by, event_id
  from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::uuid[])
    link (author_id, book_id, position, roles, credited_as, linked_at, linked_by, event_id)
  where ${not} exists (select from authors where authors.id = link.author_id)
  on conflict (author_id, book_id) do update set position = excluded.position, roles = excluded.roles,
    credited_as = excluded.credited_as, linked_at = excluded.linked_at, linked_by = excluded.linked_by,
    event_id = excluded.event_id`;

/** Deletes links from `author_book` and `detached_links`. */
export async function deleteLinks(
  client: ClientBase,
  links: readonly { bookId: string; authorId: string }[],
) {
  if (links.length === 0) return;
  const values = [links.map((link) => link.authorId), links.map((link) => link.bookId)];
  for (const table of ['author_book', 'detached_links'])
    await client.query({
      name: `delete-links-${table}`,
      text: `delete from ${table} using unnest($1::uuid[], $2::uuid[]) gone (author_id, book_id)
             where ${table}.author_id = gone.author_id and ${table}.book_id = gone.book_id`,
      values,
    });
}

/** Deletes removed authors from the table. Links that raced the removal move to `detached_links`. */
export async function removeAuthors(client: ClientBase, removed: readonly Removed[]): Promise<void> {
  if (removed.length === 0) return;
  const ids = removed.map(({ id }) => id);
  await client.query(
    `with detached as (delete from author_book where author_id = any($1) returning *)
     insert into detached_links (${LINK_COLUMNS}) select ${LINK_COLUMNS} from detached`,
    [ids],
  );
  await client.query('delete from authors where id = any($1)', [ids]);
  await remember(client, AUTHOR, removed);
}

/** Deletes removed books with their links. */
export async function removeBooks(client: ClientBase, removed: readonly Removed[]): Promise<void> {
  if (removed.length === 0) return;
  const ids = removed.map(({ id }) => id);
  for (const table of ['author_book', 'detached_links'])
    await client.query(`delete from ${table} where book_id = any($1)`, [ids]);
  await client.query('delete from books where id = any($1)', [ids]);
  await remember(client, BOOK, removed);
}

/** Deletes restored authors or books from `removed`. */
export async function forgetRemoved(client: ClientBase, kind: string, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await client.query('delete from removed where kind = $1 and id = any($2)', [kind, ids]);
}

/** Moves links that waited for these authors from `detached_links` to `author_book`. */
export async function attachLinks(client: ClientBase, authorIds: readonly string[]): Promise<void> {
  if (authorIds.length === 0) return;
  await client.query({
    name: 'attach-links',
    text: `with attached as (delete from detached_links where author_id = any($1) returning *)
           insert into author_book (${LINK_COLUMNS}) select ${LINK_COLUMNS} from attached`,
    values: [authorIds],
  });
}

async function remember(client: ClientBase, kind: string, removed: readonly Removed[]): Promise<void> {
  await client.query(
    `insert into removed (kind, id, revision, created_at, removed_at)
     select $1, * from unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
     on conflict (kind, id) do update set revision = excluded.revision, removed_at = excluded.removed_at`,
    [
      kind,
      removed.map(({ id }) => id),
      removed.map(({ revision }) => revision.toString()),
      removed.map(({ createdAt }) => createdAt.toISOString()),
      removed.map(({ removedAt }) => removedAt.toISOString()),
    ],
  );
}
