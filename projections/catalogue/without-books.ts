import { settled, type Send } from '../send.js';

// `authors_without_books` has a row for each author whom no link of a live book names.

/** Fills the empty table. */
export async function fillAuthorsWithoutBooks(send: Send): Promise<void> {
  const text = `insert into authors_without_books (author_id, name_sort, created_at)
    select a.id, a.name_sort, a.created_at from authors a
    where not exists (select from author_book l where l.author_id = a.id)`;
  await send({ text });
}

interface Changed {
  /** Authors that have books now, or are not there any more. */
  readonly gone?: ReadonlySet<string>;
  /** Authors that may have no books now. Those in `gone` are left out. */
  readonly perhaps?: ReadonlySet<string>;
}

/** Stores which authors have no books, after authors and links were sent. */
export async function storeAuthorsWithoutBooks(
  send: Send,
  { gone = new Set(), perhaps = new Set() }: Changed,
): Promise<void> {
  // The second one has no join: without statistics, the planner would read all links.
  const statements = [
    {
      name: 'authors-with-books',
      text: 'delete from authors_without_books where author_id = any($1)',
      values: [[...gone]],
    },
    {
      name: 'authors-without-books',
      text: `insert into authors_without_books as old (author_id, name_sort, created_at)
             select a.id, a.name_sort, a.created_at from authors a
             where a.id = any($1) and (select true from author_book l where l.author_id = a.id limit 1) is null
             on conflict (author_id) do update set name_sort = excluded.name_sort where old.name_sort <> excluded.name_sort`,
      values: [[...perhaps].filter((id) => !gone.has(id))],
    },
  ];
  await settled(statements.filter(({ values: [ids] }) => ids && ids.length > 0).map(send));
}
