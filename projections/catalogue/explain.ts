import { isDeepStrictEqual } from 'node:util';
import { AUTHOR, authorStream } from '../../src/authors/author.events.js';
import { BOOK, bookStream, type Link } from '../../src/books/book.events.js';
import {
  categoryOf,
  idOf,
  type EventStore,
  type Position,
  type RecordedEvent,
} from '../../src/event-store/event-store.js';
import { isUuid } from '../../src/stored-data.js';
import type { RowChange } from '../projection.js';
import { readSkips, type Skip } from '../skips.js';
import { bookWords, ownWords } from './book-words.js';
import { titleSort } from './columns.js';
import { CATALOGUE, foldAuthor, foldBook } from './fold.js';
import { foldStream, type Fold } from './fold-stream.js';
import { intoOf, survivorOf } from './redirects.js';
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
    const { id: bookId, createdAt, links } = row;
    const names = links.flatMap(({ authorId }) => rowOf(authors.get(authorId))?.name ?? []);
    return {
      bookId,
      titleSort: titleSort(row),
      createdAt,
      words: bookWords(ownWords(row), names.map(searchWords)),
    };
  },
  author_book: (standings, key) => (isThere(standings, key) ? linkOf(standings, key) : null),
  waiting_links: (standings, key) => (isThere(standings, key) ? null : linkOf(standings, key)),
  removed: ({ authors, book }, { kind, id = '' }) => {
    const standing = kind === AUTHOR ? authors.get(id) : book;
    if (!standing || !('removed' in standing)) return null;
    const { into: _, ...row } = standing.removed;
    return { kind, ...row };
  },
  // Which books link the author, no stream of an author says.
  authors_without_books: ({ authors }, { author_id: authorId = '' }) => {
    const row = rowOf(authors.get(authorId));
    return row ? { authorId, nameSort: sortKey(row.name), createdAt: row.createdAt } : null;
  },
  author_redirects: ({ authors }, { author_id: authorId = '' }) => {
    const intoId = intoOf(authors.get(authorId));
    if (intoId === undefined) return null;
    return { authorId, intoId, survivorId: survivorOf(authorId, (id) => intoOf(authors.get(id))) };
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
 * book like the projection does. An event counts if the row differs after the event. So does an operator's skip.
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
  const histories = new Map<string, readonly RecordedEvent[]>();
  const read = async (stream: string) => {
    const recorded = await store.readStream(stream, { caller });
    const events = recorded.filter(({ position }) => to === undefined || position <= to);
    histories.set(stream, events);
    return events;
  };
  const readAll = async (streams: readonly string[]) => (await Promise.all(streams.map(read))).flat();
  const skips = await readSkips(store, { name: CATALOGUE }, to, caller);
  const own = await readAll(streamsOf(table, key));
  if (table === 'book_words') await readAll(namedAuthors(own).map(authorStream));
  if (table === 'author_redirects')
    for (let found = own; found.length > 0;)
      found = await readAll(
        mergedInto(found)
          .map(authorStream)
          .filter((stream) => !histories.has(stream)),
      );
  const acts = new Map(
    [...skips.values()].flatMap((skip) => (histories.has(skip.stream) ? [[skip.act.id, skip] as const] : [])),
  );
  const events = [...histories.values(), [...acts.values()].map(({ act }) => act)].flat();
  events.sort((a, b) => (a.position < b.position ? -1 : 1));

  const changes: RowChange[] = [];
  let standings: Standings = { authors: new Map(), book: undefined };
  let row: Row | null = null;
  const skipped = new Map<string, Skip>();
  const parked = new Set<string>();
  const take = (stream: string, history: readonly RecordedEvent[], before: Standings) => {
    const { standing, stale } = foldStream(standingOf(before, stream), history, skipped, foldOf(stream));
    if (stale) parked.add(stream);
    standings = withStanding(before, stream, standing);
  };
  for (const event of events) {
    const skip = acts.get(event.id);
    if (skip) {
      const { stream } = skip;
      skipped.set(skip.eventId, skip);
      parked.delete(stream);
      const history = (histories.get(stream) ?? []).filter(({ position }) => position < event.position);
      take(stream, history, withStanding(standings, stream, undefined));
    } else if (!parked.has(event.stream)) take(event.stream, [event], standings);
    const next = ROWS[table]?.(standings, key) ?? null;
    if (!isDeepStrictEqual(next, row)) changes.push({ event, row: next });
    row = next;
  }
  return changes;
}

type AnyStanding = Standing<AuthorRow | BookRow>;

const foldOf = (stream: string) =>
  (categoryOf(stream) === AUTHOR ? foldAuthor : foldBook) as Fold<AuthorRow | BookRow>;

const standingOf = ({ authors, book }: Standings, stream: string): AnyStanding =>
  categoryOf(stream) === AUTHOR ? authors.get(idOf(stream)) : book;

const withStanding = ({ authors, book }: Standings, stream: string, standing: AnyStanding): Standings =>
  categoryOf(stream) === AUTHOR
    ? { authors: new Map(authors).set(idOf(stream), standing as Standing<AuthorRow>), book }
    : { authors, book: standing as Standing<BookRow> };

/** The authors that events of a book name. */
function namedAuthors(events: readonly RecordedEvent[]): string[] {
  const ids = events.flatMap(({ data }) => {
    const { authorId, authors } = data as { authorId?: unknown; authors?: unknown };
    const links: unknown[] = Array.isArray(authors) ? authors : [];
    return [authorId, ...links.map((link) => (link as Partial<Link> | null)?.authorId)];
  });
  return [...new Set(ids.filter(isUuid))];
}

/** The authors that others were merged into. */
function mergedInto(events: readonly RecordedEvent[]): string[] {
  const ids = events.map(({ data }) => (data as { into?: unknown }).into);
  return [...new Set(ids.filter(isUuid))];
}

function streamsOf(table: string, { id, kind, author_id, book_id }: Key): string[] {
  if (author_id !== undefined && book_id !== undefined) return [authorStream(author_id), bookStream(book_id)];
  if (book_id !== undefined) return [bookStream(book_id)];
  if (author_id !== undefined) return [authorStream(author_id)];
  const category = kind ?? (table === 'authors' ? AUTHOR : BOOK);
  return [category === AUTHOR ? authorStream(id ?? '') : bookStream(id ?? '')];
}
