import { isDeepStrictEqual } from 'node:util';
import { AUTHOR, authorStream } from '../../src/authors/author.events.js';
import { BOOK, bookStream } from '../../src/books/book.events.js';
import {
  categoryOf,
  idOf,
  type EventStore,
  type Position,
  type RecordedEvent,
} from '../../src/event-store/event-store.js';
import type { RowChange } from '../projection.js';
import { bookWords, ownWords } from './book-words.js';
import { foldAuthor, foldBook } from './fold.js';
import type { AuthorRow, BookRow, Standing } from './rows.js';
import { searchWords, sortKey } from './search-text.js';

type Key = Readonly<Record<string, string>>;
type Row = Readonly<Record<string, unknown>>;

interface Standings {
  readonly authors: ReadonlyMap<string, Standing<AuthorRow>>;
  readonly book: Standing<BookRow>;
}

/** The row of each table for a key, derived from the folded authors and book. */
const ROWS: Record<string, (standings: Standings, key: Key) => Row | null> = {
  authors: ({ authors }, { id = '' }) => {
    const row = rowOf(authors.get(id));
    return row ? { ...row } : null;
  },
  books: ({ book }) => {
    if (!book || 'removed' in book) return null;
    const { links: _, ...row } = book.row;
    return row;
  },
  book_words: ({ authors, book }) => {
    const row = rowOf(book);
    if (!row) return null;
    const { id: bookId, title, createdAt, links } = row;
    const names = links.flatMap(({ authorId }) => rowOf(authors.get(authorId))?.name ?? []);
    return {
      bookId,
      titleSort: sortKey(title),
      createdAt,
      words: bookWords(ownWords(row), names.map(searchWords)),
    };
  },
  author_book: (standings, key) => (isThere(standings, key) ? linkOf(standings, key) : null),
  waiting_links: (standings, key) => (isThere(standings, key) ? null : linkOf(standings, key)),
  removed: ({ authors, book }, { kind, id = '' }) => {
    const standing = kind === AUTHOR ? authors.get(id) : book;
    return standing && 'removed' in standing ? { kind, ...standing.removed } : null;
  },
};

const rowOf = <Row>(standing: Standing<Row>): Row | undefined =>
  standing && 'row' in standing ? standing.row : undefined;

const isThere = ({ authors }: Standings, { author_id = '' }: Key): boolean =>
  rowOf(authors.get(author_id)) !== undefined;

function linkOf({ book }: Standings, { author_id, book_id }: Key): Row | null {
  const links = rowOf(book)?.links ?? [];
  const index = links.findIndex((link) => link.authorId === author_id);
  return index < 0 ? null : { ...links[index], bookId: book_id, position: index + 1 };
}

/**
 * The events that changed a row, in order, with the row after each event. Folds the streams of the row's authors and
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
  const read = async (stream: string) =>
    (await store.readStream(stream, { caller })).filter(({ position }) => to === undefined || position <= to);
  const events = (await Promise.all(streamsOf(table, key).map(read))).flat();
  if (table === 'book_words')
    for (const author of linkedAuthors(events)) events.push(...(await read(authorStream(author))));
  events.sort((a, b) => (a.position < b.position ? -1 : 1));
  const changes: RowChange[] = [];
  let standings: Standings = { authors: new Map(), book: undefined };
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
    ? { ...standings, authors: afterOf(standings.authors, event) }
    : { ...standings, book: foldBook(standings.book, event) };

function afterOf(authors: Standings['authors'], event: RecordedEvent): Standings['authors'] {
  const id = idOf(event.stream);
  return new Map(authors).set(id, foldAuthor(authors.get(id), event));
}

/** The authors that a book has, or had. */
function linkedAuthors(events: readonly RecordedEvent[]): Set<string> {
  const authors = new Set<string>();
  let book: Standing<BookRow>;
  try {
    for (const event of events) {
      book = foldBook(book, event);
      for (const { authorId } of rowOf(book)?.links ?? []) authors.add(authorId);
    }
  } catch {
    // The event is parked, and later events wait.
  }
  return authors;
}

function streamsOf(table: string, { id, kind, author_id, book_id }: Key): string[] {
  if (author_id !== undefined && book_id !== undefined) return [authorStream(author_id), bookStream(book_id)];
  if (book_id !== undefined) return [bookStream(book_id)];
  const category = kind ?? (table === 'authors' ? AUTHOR : BOOK);
  return [category === AUTHOR ? authorStream(id ?? '') : bookStream(id ?? '')];
}
