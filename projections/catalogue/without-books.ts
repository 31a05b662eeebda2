import type { QueryConfig } from 'pg';
import type { Send } from '../send.js';

// `authors_without_books` has a row for each author whom no link of a live book names. An import adds authors first, and
// links them later, which writes this table twice for each author. A statement more for each batch cost as much again: so
// authors are listed by the statement that stores them, and are looked for when their words are loaded.

/** Lists the authors `a` who have no books. */
const list = (authors: string, which = 'true'): string =>
  // Not a join: without statistics, the planner would read all links.
  `insert into authors_without_books as old (author_id, name_sort, created_at)
   select a.id, a.name_sort, a.created_at from ${authors}
   where ${which} and (select true from author_book l where l.author_id = a.id limit 1) is null
   on conflict (author_id) do update set name_sort = excluded.name_sort where old.name_sort <> excluded.name_sort`;

/** A statement that stores authors, and lists those who have no books. */
export const listing = (stored: QueryConfig): QueryConfig => ({
  ...stored,
  text: `with a as (${stored.text} returning id, name_sort, created_at) ${list('a')}`,
});

/** Deletes authors that have books now, or are gone. */
export async function unlist(send: Send, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const text = 'delete from authors_without_books where author_id = any($1)';
  await send({ name: 'unlist-authors', text, values: [ids] });
}

/** Lists those of these authors who have no books, after links were stored. */
export async function listWithoutBooks(send: Send, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await send({ text: list('authors a', 'a.id = any($1)'), values: [ids] });
}

/** Fills the empty table. */
export async function fillAuthorsWithoutBooks(send: Send): Promise<void> {
  const text = `insert into authors_without_books (author_id, name_sort, created_at)
    select a.id, a.name_sort, a.created_at from authors a
    where not exists (select from author_book l where l.author_id = a.id)`;
  await send({ text });
}
