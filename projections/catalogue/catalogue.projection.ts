import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PoolClient } from 'pg';
import { AUTHOR } from '../../src/authors/author.events.js';
import { BOOK } from '../../src/books/book.events.js';
import { categoryOf, idOf, type RecordedEvent } from '../../src/event-store/event-store.js';
import type { Projection } from '../projector.js';
import { foldAuthor, foldBook } from './fold.js';
import { loadAuthors, loadBooks } from './load.js';
import type { BookRow, Standing } from './rows.js';
import {
  deleteLinks,
  removeAuthors,
  removeBooks,
  restore,
  storeAuthors,
  storeBooks,
  storeLinks,
  type PlacedLink,
} from './store.js';

/** The read tables. A batch loads what it touches, folds it event by event, and stores what became of it. */
export const catalogue: Projection = {
  name: 'catalogue',
  version: 2,
  tables: () => readFileSync(join(import.meta.dirname, 'tables.sql'), 'utf8'),
  apply,
};

async function apply(client: PoolClient, events: readonly RecordedEvent[]): Promise<void> {
  const authorEvents = events.filter((event) => categoryOf(event.stream) === AUTHOR);
  const bookEvents = events.filter((event) => categoryOf(event.stream) === BOOK);
  const authorsBefore = await loadAuthors(client, loadable(authorEvents));
  const booksBefore = await loadBooks(client, loadable(bookEvents));
  const authors = foldAll(authorsBefore, authorEvents, foldAuthor);
  const books = foldAll(booksBefore, bookEvents, foldBook);

  await storeAuthors(client, authors.rows);
  await removeAuthors(client, authors.removed);
  await storeBooks(client, books.rows);
  await removeBooks(client, books.removed);
  await restore(client, authors.restored, books.restored);
  const { gone, placed } = linkChanges(booksBefore, books.rows);
  await deleteLinks(client, gone);
  await storeLinks(client, placed);
}

/** Streams whose earlier events are in the tables: all that don't begin in this batch. */
function loadable(events: readonly RecordedEvent[]): string[] {
  const begun = new Set(events.filter((event) => event.revision === 0n).map((event) => event.stream));
  const streams = new Set(events.map((event) => event.stream));
  return [...streams].filter((stream) => !begun.has(stream)).map(idOf);
}

interface Folded<Row> {
  readonly rows: Row[];
  readonly removed: Extract<Standing<Row>, { removed: unknown }>['removed'][];
  readonly restored: string[];
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
  const folded: Folded<Row> = { rows: [], removed: [], restored: [] };
  for (const [id, standing] of after) {
    if (!standing) continue;
    if ('removed' in standing) folded.removed.push(standing.removed);
    else folded.rows.push(standing.row);
    const previous = before.get(id);
    if ('row' in standing && previous && 'removed' in previous) folded.restored.push(id);
  }
  return folded;
}

/** Links to delete, and links to insert or update because they, or their place, are new. */
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
