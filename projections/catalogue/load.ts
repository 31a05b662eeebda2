import type { QueryResultRow } from 'pg';
import { AUTHOR } from '../../src/authors/author.events.js';
import { BOOK } from '../../src/books/book.events.js';
import { settled, type Send } from '../send.js';
import {
  AUTHOR_COLUMNS,
  BOOK_COLUMNS,
  LINK_COLUMNS,
  namesOf,
  REMOVED_COLUMNS,
  selected,
  type PlacedLink,
} from './columns.js';
import type { AuthorRow, BookRow, LinkRow, Removed, Standing } from './rows.js';

/** The state of these authors in the tables, by id. */
export async function loadAuthors(send: Send, ids: string[]): Promise<Map<string, Standing<AuthorRow>>> {
  if (ids.length === 0) return new Map();
  const [{ rows }, standings] = await settled([
    send<Omit<AuthorRow, 'revision'> & { revision: string }>({
      name: 'load-authors',
      text: `select ${selected(AUTHOR_COLUMNS)} from authors where id = any($1)`,
      values: [ids],
    }),
    loadRemoved<AuthorRow>(send, AUTHOR, ids),
  ]);
  for (const row of rows) standings.set(row.id, { row: { ...row, revision: BigInt(row.revision) } });
  return standings;
}

/** The state of these books in the tables, by id, with all links, waiting links included. */
export async function loadBooks(send: Send, ids: string[]): Promise<Map<string, Standing<BookRow>>> {
  if (ids.length === 0) return new Map();
  const [{ rows }, { rows: links }, standings] = await settled([
    send<Omit<BookRow, 'revision' | 'links'> & { revision: string }>({
      name: 'load-books',
      text: `select ${selected(BOOK_COLUMNS)} from books where id = any($1)`,
      values: [ids],
    }),
    send<PlacedLink & QueryResultRow>({
      name: 'load-links',
      text: `select ${selected(LINK_COLUMNS)}
             from (select ${namesOf(LINK_COLUMNS)} from author_book where book_id = any($1)
                   union all select ${namesOf(LINK_COLUMNS)} from waiting_links where book_id = any($1)) link
             order by book_id, position`,
      values: [ids],
    }),
    loadRemoved<BookRow>(send, BOOK, ids),
  ]);
  const byBook = new Map<string, LinkRow[]>();
  for (const { bookId, position: _, ...link } of links) {
    const list = byBook.get(bookId);
    if (list) list.push(link);
    else byBook.set(bookId, [link]);
  }
  for (const row of rows)
    standings.set(row.id, {
      row: { ...row, revision: BigInt(row.revision), links: byBook.get(row.id) ?? [] },
    });
  return standings;
}

async function loadRemoved<Row>(
  send: Send,
  kind: string,
  ids: string[],
): Promise<Map<string, Standing<Row>>> {
  const { rows } = await send<Omit<Removed, 'revision'> & { revision: string }>({
    name: 'load-removed',
    text: `select ${selected(REMOVED_COLUMNS)} from removed where kind = $1 and id = any($2)`,
    values: [kind, ids],
  });
  return new Map(rows.map((row) => [row.id, { removed: { ...row, revision: BigInt(row.revision) } }]));
}

/** What a book needs to know of an author. */
export interface Named {
  readonly words: string;
  /** Whether the author had no books before. */
  readonly withoutBooks: boolean;
}

/** These authors in the table, by id. Nothing of an author without a row. */
export async function loadNamed(send: Send, ids: readonly string[]): Promise<Map<string, Named>> {
  if (ids.length === 0) return new Map();
  const { rows } = await send<Named & { id: string }>({
    name: 'named-authors',
    text: `select id, words,
             (select true from authors_without_books w where w.author_id = a.id limit 1) is not null as "withoutBooks"
           from authors a where id = any($1)`,
    values: [ids],
  });
  return new Map(rows.map(({ id, ...named }) => [id, named]));
}
