import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { sortKey } from '../../projections/catalogue/search-text.js';
import type { Author } from '../../src/authors/author.js';
import { sql } from './database.js';
import type { World } from './history.js';

/** Everything the three tables hold, and what waits beside them, in one order. */
export async function readTables(url: string, schema = 'catalogue') {
  const [authors, books, links, waiting, removed, redirects, withoutBooks] = await Promise.all([
    sql(url, `select * from ${schema}.authors order by id`),
    sql(url, `select * from ${schema}.books order by id`),
    sql(url, `select * from ${schema}.author_book order by book_id, position`),
    sql(url, `select * from ${schema}.waiting_links order by book_id, position`),
    sql(url, `select * from ${schema}.removed order by id`),
    sql(url, `select * from ${schema}.author_redirects order by author_id`),
    sql(url, `select author_id, name_sort from ${schema}.authors_without_books order by author_id`),
  ]);
  return { authors, books, links, waiting, removed, redirects, withoutBooks };
}

/** The same as text, byte for byte, whatever order columns and rows came in; and what is parked. */
export async function dumpTables(url: string, schema = 'catalogue'): Promise<string> {
  const parked = `${schema}.parked (position, stream, revision, event_id, type, error)`;
  const rows = await sql<{ line: string }>(
    url,
    [...catalogue.tables.map((table) => `${schema}.${table}`), parked]
      .map((table) => {
        const [name = '', columns = '(*)'] = table.split(/ (?=\()/);
        return `select '${name.split('.')[1]}' as name, to_jsonb(t)::text as line
                from (select ${columns.slice(1, -1)} from ${name}) t`;
      })
      .join(' union all ') + ' order by name, line',
  );
  return rows.map(({ line }) => line).join('\n');
}

/** What the tables should show, as the write side's own fold has it. */
export function expectedTables({ authors, books }: World) {
  const live = (id: string) => authors.get(id)?.status === 'live';
  const links = [...books].flatMap(([book_id, book]) =>
    book.status === 'live'
      ? book.links.map(({ authorId, roles, creditedAs }, index) => ({
          author_id: authorId,
          book_id,
          position: index + 1,
          roles: [...roles],
          credited_as: creditedAs,
        }))
      : [],
  );
  const byPlace = (a: (typeof links)[0], b: (typeof links)[0]) =>
    a.book_id === b.book_id ? a.position - b.position : a.book_id < b.book_id ? -1 : 1;
  return {
    authors: [...authors]
      .flatMap(([id, author]) => (author.status === 'live' ? [{ id, name: author.name }] : []))
      .sort(byId),
    books: [...books]
      .flatMap(([id, book]) => (book.status === 'live' ? [{ id, title: book.title }] : []))
      .sort(byId),
    links: links.filter((link) => live(link.author_id)).sort(byPlace),
    waiting: links.filter((link) => !live(link.author_id)).sort(byPlace),
    redirects: [...authors]
      .flatMap(([author_id, author]) => {
        const into_id = mergedInto(author);
        return into_id === undefined ? [] : [{ author_id, into_id, survivor_id: survivorOf(author_id) }];
      })
      .sort((a, b) => (a.author_id < b.author_id ? -1 : 1)),
    withoutBooks: [...authors]
      .flatMap(([author_id, author]) =>
        author.status === 'live' && !links.some((link) => link.author_id === author_id)
          ? [{ author_id, name_sort: sortKey(author.name) }]
          : [],
      )
      .sort((a, b) => (a.author_id < b.author_id ? -1 : 1)),
  };

  function survivorOf(id: string): string | null {
    // A way that is longer than there are authors goes in a circle.
    let last: string = id;
    for (let steps = 0; steps <= authors.size; steps += 1) {
      const next = mergedInto(authors.get(last));
      if (next === undefined) return last;
      last = next;
    }
    return null;
  }
}

const mergedInto = (author: Author | undefined): string | undefined =>
  author && author.status !== 'unknown' ? author.mergedInto : undefined;

const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1);
