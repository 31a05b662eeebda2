import { isDeepStrictEqual } from 'node:util';
import { AUTHOR, authorStream } from '../../src/authors/author.events.js';
import { BOOK, bookStream } from '../../src/books/book.events.js';
import {
  categoryOf,
  type EventStore,
  type Position,
  type RecordedEvent,
} from '../../src/event-store/event-store.js';
import type { RowChange } from '../projection.js';
import { foldAuthor, foldBook } from './fold.js';
import type { AuthorRow, BookRow, Standing } from './rows.js';

type Key = Readonly<Record<string, string>>;
type Row = Readonly<Record<string, unknown>>;

interface Standings {
  readonly author: Standing<AuthorRow>;
  readonly book: Standing<BookRow>;
}

/** The row of each table for a key, derived from the folded author and book. */
const ROWS: Record<string, (standings: Standings, key: Key) => Row | null> = {
  authors: ({ author }) => (author && 'row' in author ? { ...author.row } : null),
  books: ({ book }) => {
    if (!book || 'removed' in book) return null;
    const { links: _, ...row } = book.row;
    return row;
  },
  author_book: (standings, key) => (isThere(standings) ? linkOf(standings, key) : null),
  waiting_links: (standings, key) => (isThere(standings) ? null : linkOf(standings, key)),
  removed: ({ author, book }, { kind }) => {
    const standing = kind === AUTHOR ? author : book;
    return standing && 'removed' in standing ? { kind, ...standing.removed } : null;
  },
};

const isThere = ({ author }: Standings): boolean => author !== undefined && 'row' in author;

function linkOf({ book }: Standings, { author_id, book_id }: Key): Row | null {
  const links = book && 'row' in book ? book.row.links : [];
  const index = links.findIndex((link) => link.authorId === author_id);
  return index < 0 ? null : { ...links[index], bookId: book_id, position: index + 1 };
}

/**
 * The events that changed a row, in order, with the row after each event. Folds the streams of the row's author and
 * book like the projection does. An event counts if the row differs after the event.
 * @param to ignores events after this position.
 * @param caller aborts when the caller leaves, if the answer is for a caller.
 */
export async function explain(
  store: EventStore,
  table: string,
  key: Key,
  to?: Position,
  caller?: AbortSignal,
): Promise<RowChange[]> {
  const events = (
    await Promise.all(streamsOf(table, key).map((stream) => store.readStream(stream, { caller })))
  )
    .flat()
    .filter((event) => to === undefined || event.position <= to)
    .toSorted((a, b) => (a.position < b.position ? -1 : 1));
  const changes: RowChange[] = [];
  let standings: Standings = { author: undefined, book: undefined };
  let row: Row | null = null;
  const parked = new Set<string>();
  for (const event of events) {
    try {
      if (!parked.has(event.stream)) standings = after(standings, event);
    } catch {
      // The event is parked: the event changed nothing, and later events of the stream wait.
      parked.add(event.stream);
    }
    const next = ROWS[table]?.(standings, key) ?? null;
    if (!isDeepStrictEqual(next, row)) changes.push({ event, row: next });
    row = next;
  }
  return changes;
}

const after = (standings: Standings, event: RecordedEvent): Standings =>
  categoryOf(event.stream) === AUTHOR
    ? { ...standings, author: foldAuthor(standings.author, event) }
    : { ...standings, book: foldBook(standings.book, event) };

function streamsOf(table: string, { id, kind, author_id, book_id }: Key): string[] {
  if (author_id !== undefined && book_id !== undefined) return [authorStream(author_id), bookStream(book_id)];
  const category = kind ?? (table === 'authors' ? AUTHOR : BOOK);
  return [category === AUTHOR ? authorStream(id ?? '') : bookStream(id ?? '')];
}
