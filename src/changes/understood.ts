import { evolveAuthor, unknownAuthor, type Author } from '../authors/author.js';
import { flawOfAuthorEvent, type AuthorEvent } from '../authors/author.events.js';
import { evolveBook, unknownBook, type Book } from '../books/book.js';
import { flawOfBookEvent, type BookEvent } from '../books/book.events.js';
import { begun, foldOn, type DecidedEvent, type Standing, type StreamOf } from '../commands/streams.js';
import type { RecordedEvent } from '../event-store/event-store.js';
import type { Happened } from './reversal.js';

/** A stream's state, and everything that happened in the stream. */
export interface Understood<State, Event> {
  readonly state: State;
  readonly happened: readonly Happened<Event>[];
}

/** @throws StreamNotUnderstood */
export const understoodAuthor = (history: readonly RecordedEvent[]): Understood<Author, AuthorEvent> =>
  understood({ initial: unknownAuthor, evolve: evolveAuthor, flawOf: flawOfAuthorEvent }, history);

/** @throws StreamNotUnderstood */
export const understoodBook = (history: readonly RecordedEvent[]): Understood<Book, BookEvent> =>
  understood({ initial: unknownBook, evolve: evolveBook, flawOf: flawOfBookEvent }, history);

function understood<State extends Standing, Event extends DecidedEvent>(
  fold: Omit<StreamOf<State, Event>, 'stream'>,
  history: readonly RecordedEvent[],
): Understood<State, Event> {
  const of = { ...fold, stream: history[0]?.stream ?? '' };
  const { state } = foldOn(of, begun(of), history);
  // Every event was checked.
  return { state, happened: history as unknown as readonly Happened<Event>[] };
}
