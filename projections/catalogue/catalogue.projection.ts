import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientBase } from 'pg';
import { AUTHOR } from '../../src/authors/author.events.js';
import { BOOK } from '../../src/books/book.events.js';
import { categoryOf, idOf, type RecordedEvent } from '../../src/event-store/event-store.js';
import { isUuid } from '../../src/stored-data.js';
import type { Projection } from '../projection.js';
import { sender, settled, type Send } from '../send.js';
import { bulk } from './bulk.js';
import type { PlacedLink } from './columns.js';
import { explain } from './explain.js';
import { CATALOGUE, foldAuthor, foldBook } from './fold.js';
import { loadAuthors, loadBooks, loadNamed, type Named } from './load.js';
import type { AuthorRow, BookRow, Removed, Standing } from './rows.js';
import { storeRedirects } from './redirects.js';
import { searchWords } from './search-text.js';
import {
  attachLinks,
  deleteLinks,
  forgetRemoved,
  refreshBookWords,
  removeAuthors,
  removeBooks,
  storeAuthors,
  storeBooks,
  storeBookWords,
  storeLinks,
  storeWaitingLinks,
} from './store.js';
import { listWithoutBooks, unlist } from './without-books.js';
import { zoneIndexes } from './zones.js';

const sql = (file: string) => () => readFileSync(join(import.meta.dirname, file), 'utf8');

const TABLES = [
  'authors',
  'books',
  'author_book',
  'book_words',
  'author_redirects',
  'authors_without_books',
  'waiting_links',
  'removed',
];

/** The read tables. A batch loads the rows that its events touch, folds event by event, and stores the results. */
export const catalogue: Projection = {
  name: CATALOGUE,
  version: 7,
  readable: 6,
  categories: [AUTHOR, BOOK],
  tables: TABLES,
  shown: TABLES,
  columns: sql('tables.sql'),
  keys: () => `${zoneIndexes()}\n${sql('keys.sql')()}`,
  references: sql('references.sql'),
  lookups: ['author_book_by_book', 'waiting_links_by_book', 'author_redirects_by_into'],
  accounted: `select coalesce(sum(revision + 1), 0) from (
    select revision from authors union all select revision from books union all select revision from removed) stream`,
  reached: `select revision from (
    select 'author' as kind, id, revision from authors union all select 'book', id, revision from books
    union all select kind, id, revision from removed) stream
    where kind = $1 and id = (case when $2 ~ '^[\\da-f]{8}(-[\\da-f]{4}){3}-[\\da-f]{12}$' then $2 end)::uuid`,
  apply,
  forget,
  mark,
  bulk,
  explain,
};

async function apply(client: ClientBase, events: readonly RecordedEvent[]): Promise<void> {
  const authorEvents = events.filter((event) => categoryOf(event.stream) === AUTHOR);
  const bookEvents = events.filter((event) => categoryOf(event.stream) === BOOK);
  const send = sender(client);
  const [authorsBefore, booksBefore] = await settled([
    loadAuthors(send, loadable(authorEvents)),
    loadBooks(send, loadable(bookEvents)),
  ]);
  const authors = foldAll(authorsBefore, authorEvents, foldAuthor);
  const books = foldAll(booksBefore, bookEvents, foldBook);
  const named = await authorsNamed(send, authors, books.rows);
  const { gone, placed } = linkChanges(booksBefore, books.rows);
  const unlinked = [...gone, ...linksOf(booksBefore, books.removed)].map(({ authorId }) => authorId);

  const [, detached, , , , , attached, , othersWait] = await settled([
    storeAuthors(send, authors.rows),
    removeAuthors(send, authors.removed),
    storeBooks(send, books.rows),
    removeBooks(send, books.removed),
    forgetRemoved(send, AUTHOR, authors.restored),
    forgetRemoved(send, BOOK, books.restored),
    attachLinks(send, authors.appeared),
    deleteLinks(send, gone),
    storeLinks(send, placed),
    storeBookWords(send, books.rows, named),
    storeRedirects(send, authors.removed, removedOf(authorsBefore)),
    unlist(
      send,
      [...named].flatMap(([id, { withoutBooks }]) => (withoutBooks ? [id] : [])),
    ),
    listWithoutBooks(send, unlinked),
  ]);
  if (othersWait) await storeWaitingLinks(send, placed);
  await refreshBookWords(send, renamed(authorsBefore, authors.rows), [...detached, ...attached]);
}

/** The authors that the books name, after the events. Nothing of an author without a row. */
async function authorsNamed(
  send: Send,
  { rows, removed }: Folded<AuthorRow>,
  books: readonly BookRow[],
): Promise<ReadonlyMap<string, Named>> {
  const named = new Set(books.flatMap(({ links }) => links.map(({ authorId }) => authorId)));
  const changed = new Map(
    rows
      .filter(({ id }) => named.has(id))
      .map(({ id, name }) => [id, { words: searchWords(name), withoutBooks: true }]),
  );
  const gone = new Set(removed.map(({ id }) => id));
  const others = [...named].filter((id) => !changed.has(id) && !gone.has(id));
  return new Map([...(await loadNamed(send, others)), ...changed]);
}

/** Streams with earlier events in the tables: all streams that don't begin in this batch. */
function loadable(events: readonly RecordedEvent[]): string[] {
  const begun = new Set(events.filter((event) => event.revision === 0n).map((event) => event.stream));
  const streams = new Set(events.map((event) => event.stream));
  return [...streams]
    .filter((stream) => !begun.has(stream))
    .map(idOf)
    .filter(isUuid);
}

interface Folded<Row> {
  readonly rows: Row[];
  readonly removed: Removed[];
  readonly restored: string[];
  /** Ids of new or restored rows. Links may wait even for a new author, if earlier events of its stream were parked. */
  readonly appeared: string[];
}

function foldAll<Row>(
  before: ReadonlyMap<string, Standing<Row>>,
  events: readonly RecordedEvent[],
  fold: (standing: Standing<Row>, event: RecordedEvent) => Standing<Row>,
): Folded<Row> {
  const after = new Map(before);
  for (const event of events) {
    const id = idOf(event.stream);
    after.set(id, fold(after.get(id), event));
  }
  const folded: Folded<Row> = { rows: [], removed: [], restored: [], appeared: [] };
  for (const [id, standing] of after) {
    if (!standing) continue;
    if ('removed' in standing) folded.removed.push(standing.removed);
    else folded.rows.push(standing.row);
    const previous = before.get(id);
    if ('removed' in standing || (previous && 'row' in previous)) continue;
    folded.appeared.push(id);
    if (previous) folded.restored.push(id);
  }
  return folded;
}

const renamed = (before: ReadonlyMap<string, Standing<AuthorRow>>, authors: readonly AuthorRow[]): string[] =>
  authors.flatMap(({ id, name }) => {
    const standing = before.get(id);
    return standing && 'row' in standing && standing.row.name !== name ? [id] : [];
  });

const removedOf = (before: ReadonlyMap<string, Standing<AuthorRow>>): string[] =>
  [...before].flatMap(([id, standing]) => (standing && 'removed' in standing ? [id] : []));

const linksOf = (before: ReadonlyMap<string, Standing<BookRow>>, books: readonly Removed[]) =>
  books.flatMap(({ id }) => {
    const standing = before.get(id);
    return standing && 'row' in standing ? standing.row.links : [];
  });

/** Links to delete, and links to insert or update because the link or its position changed. */
function linkChanges(before: ReadonlyMap<string, Standing<BookRow>>, books: readonly BookRow[]) {
  const gone: { bookId: string; authorId: string }[] = [];
  const placed: PlacedLink[] = [];
  for (const { id: bookId, links } of books) {
    const standing = before.get(bookId);
    const old = standing && 'row' in standing ? standing.row.links : [];
    if (old === links) continue;
    const kept = new Set(links.map((link) => link.authorId));
    for (const { authorId } of old) if (!kept.has(authorId)) gone.push({ bookId, authorId });
    links.forEach((link, index) => {
      if (old[index] !== link) placed.push({ ...link, bookId, position: index + 1 });
    });
  }
  return { gone, placed };
}

async function forget(client: ClientBase, stream: string): Promise<void> {
  const [category, id] = [categoryOf(stream), idOf(stream)];
  // A stream without a UUID in its name has no row.
  if (!isUuid(id)) return;
  const removed = [{ id, revision: 0n, createdAt: new Date(0), removedAt: new Date(0) }];
  const send = sender(client);
  if (category === AUTHOR) {
    await refreshBookWords(send, [], await removeAuthors(send, removed));
    await storeRedirects(send, [], [id]);
  } else {
    const unlinked = linksOf(await loadBooks(send, [id]), removed).map(({ authorId }) => authorId);
    await removeBooks(send, removed);
    await listWithoutBooks(send, unlinked);
  }
  await forgetRemoved(send, category, [id]);
}

async function mark(client: ClientBase, streams: readonly string[], stale: boolean): Promise<void> {
  for (const [category, table] of [
    [AUTHOR, 'authors'],
    [BOOK, 'books'],
  ] as const) {
    // A stream without a UUID in its name has no row.
    const ids = streams
      .filter((stream) => categoryOf(stream) === category)
      .map(idOf)
      .filter(isUuid);
    if (ids.length > 0) await client.query(`update ${table} set stale = $2 where id = any($1)`, [ids, stale]);
  }
}
