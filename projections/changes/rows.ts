import { AUTHOR } from '../../src/authors/author.events.js';
import { BOOK, type BookEvent } from '../../src/books/book.events.js';
import { categoryOf, idOf, type ProjectableEvent } from '../../src/event-store/event-store.js';
import { isStorableText, isUuid } from '../../src/stored-data.js';

/** A row of `events`. */
export interface EventRow {
  readonly position: bigint;
  readonly stream: string;
  readonly revision: bigint;
  readonly type: string;
  readonly actor: string | null;
  readonly change: string | null;
  readonly cause: string | null;
  readonly recordedAt: Date;
  readonly authors: readonly string[];
  readonly book: string | null;
}

/**
 * The row of an event. Every event has one, whoever wrote the event, and whether or not Colophon can read it. A text
 * that a table can't hold is left out.
 * @param linked the authors that the book of the event's stream has before the event.
 */
export function rowOf(event: ProjectableEvent, linked: ReadonlySet<string>): EventRow {
  const { position, stream, revision, type, recordedAt, metadata, data } = event;
  const own = ownOf(stream);
  const { authors, books } = removesBook(event)
    ? { authors: linked, books: new Set<string>() }
    : concernedBy(data, own !== undefined);
  return {
    position,
    stream: storable(stream),
    revision,
    type: storable(type),
    actor: textOf(metadata.actor),
    change: textOf(metadata.correlationId),
    cause: textOf(metadata.causationId),
    recordedAt,
    authors: own?.category === AUTHOR ? [...new Set([own.id, ...authors])] : [...authors],
    book: own?.category === BOOK ? own.id : ([...books][0] ?? null),
  };
}

/** The ids of authors and books that are concerned, and have a stream of their own elsewhere. */
export function concernedElsewhere({ stream, authors, book }: EventRow): string[] {
  const own = ownOf(stream)?.id;
  return [...authors, ...(book === null ? [] : [book])].filter((id) => id !== own);
}

export const removesBook = ({ stream, type }: Pick<ProjectableEvent, 'stream' | 'type'>): boolean =>
  categoryOf(stream) === BOOK && (type as BookEvent['type']) === 'BookRemoved';

/** The events that change which authors a book has. */
export const LINKING: readonly BookEvent['type'][] = [
  'BookLinked',
  'BookUnlinked',
  'BookRelinked',
  'BookRemoved',
  'BookRestored',
];

/** Changes the authors that a book has, as an event of the book's stream says. */
export function link(linked: Set<string>, { type, authors }: Pick<EventRow, 'type' | 'authors'>): void {
  const linking = type as BookEvent['type'];
  if (linking === 'BookRemoved') linked.clear();
  else if (linking === 'BookUnlinked') for (const author of authors) linked.delete(author);
  else if (linking === 'BookRelinked') {
    const [authorId, from] = authors;
    if (from !== undefined) linked.delete(from);
    if (authorId !== undefined) linked.add(authorId);
  } else if (LINKING.includes(linking)) for (const author of authors) linked.add(author);
}

/** The author or book that a stream is of; undefined for other streams. */
function ownOf(stream: string): { category: typeof AUTHOR | typeof BOOK; id: string } | undefined {
  const category = categoryOf(stream);
  const id = idOf(stream);
  return (category === AUTHOR || category === BOOK) && isUuid(id) ? { category, id } : undefined;
}

/**
 * The authors and books that the data of an event names, of whatever type and version the event is. Of a link that another
 * author takes over, that author comes first.
 * @param ofOne whether the event is of an author or a book. Words such as `from` mean something else elsewhere.
 */
function concernedBy(
  data: object,
  ofOne: boolean,
): { authors: ReadonlySet<string>; books: ReadonlySet<string> } {
  const { authorId, authorIds, authors, stream, from, into } = data as Record<string, unknown>;
  const listed = [...listOf(authorIds), ...listOf(authors).map(authorIdOf)];
  // An operator's act names the stream that it is about.
  const about = typeof stream === 'string' ? ownOf(stream) : undefined;
  const ofAct = (category: string) => (about?.category === category ? [about.id] : []);
  return {
    authors: new Set([authorId, ...(ofOne ? [from, into] : []), ...listed, ...ofAct(AUTHOR)].filter(isUuid)),
    books: new Set(ofAct(BOOK)),
  };
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const authorIdOf = (link: unknown): unknown => (Object(link) as Record<string, unknown>)['authorId'];

const textOf = (value: unknown): string | null => (isStorableText(value) ? value : null);
const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '\uFFFD');
