import { comesBack, revertAuthor } from '../authors/author-reversal.js';
import type { AuthorStanding } from '../authors/author.js';
import type { AuthorEvent } from '../authors/author.events.js';
import { authorsToAsk, revertBook } from '../books/book-reversal.js';
import type { BookEvent } from '../books/book.events.js';
import type { RecordedEvent } from '../event-store/event-store.js';
import { understoodAuthor, understoodBook } from './understood.js';
import type { Reversal, Undo } from './reversal.js';

/** Whether an author can be linked: see {@link Authors.standingOf}. */
export type StandingOf = (authorId: string) => Promise<AuthorStanding>;

/**
 * What it means for a book's stream to undo a change.
 * @throws StreamNotUnderstood, a DomainError of the book, and the errors of `standingOf`.
 */
export async function undoInBook(
  history: readonly RecordedEvent[],
  undo: Undo,
  standingOf: StandingOf,
): Promise<Reversal<BookEvent>> {
  const { happened } = understoodBook(history);
  const asked = authorsToAsk(happened, undo);
  const standings = await Promise.all(asked.map(async (id) => [id, await standingOf(id)] as const));
  const known = new Map(standings);
  return revertBook(happened, undo, (id) => known.get(id) ?? { id, status: 'unknown' });
}

/**
 * What it means for an author's stream to undo a change.
 * @param books number of live books that link the author.
 */
export const undoInAuthor = (
  history: readonly RecordedEvent[],
  undo: Undo,
  books: number,
): Reversal<AuthorEvent> => revertAuthor(understoodAuthor(history).happened, undo, books);

/** Whether the author is live again after a change is undone. */
export const authorComesBack = (history: readonly RecordedEvent[], undo: Undo): boolean =>
  comesBack(understoodAuthor(history).happened, undo);
