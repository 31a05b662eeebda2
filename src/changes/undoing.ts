import { DomainError } from '../domain-error.js';
import { authorAsKnown, comesBack, revertAuthor, survivorToAsk } from '../authors/author-reversal.js';
import { evolveAuthor, type Author, type AuthorStanding } from '../authors/author.js';
import { authorStream, type AuthorEvent } from '../authors/author.events.js';
import { standingOf } from '../authors/authors.js';
import { authorsToAsk, holdsAuthor, revertBook } from '../books/book-reversal.js';
import type { BookEvent } from '../books/book.events.js';
import type { RecordedEvent } from '../event-store/event-store.js';
import type { Reversal, Undo } from './reversal.js';
import { understoodAuthor, understoodBook } from './understood.js';

type History = readonly RecordedEvent[];

/** Undoing holds the states of a stream: 180 MB for so many events of a book with 1,000 authors. */
const MAX_EVENTS = 20_000;

/** A stream has more events than a revert can look at. */
export class HistoryTooLong extends DomainError {
  readonly kind = 'unprocessable';
  readonly rule = 'history-too-long';
  override message = `A revert can look at ${MAX_EVENTS} events of an author or a book at most.`;
}

function checkLength(history: History): void {
  if (history.length > MAX_EVENTS) throw new HistoryTooLong();
}

/** Answers for one request to undo a change what that means for a stream. Remembers the authors who were asked about. */
export class Undoing {
  private readonly authors = new Map<string, Promise<Author>>();

  /**
   * @param read gives all events of a stream.
   * @param ahead whether the authors who come back count as back already, although nothing is written yet.
   */
  constructor(
    private readonly read: (stream: string) => Promise<History>,
    readonly undo: Undo,
    private readonly ahead = false,
  ) {}

  /** @throws StreamNotUnderstood, a DomainError of the book, and the errors of `read`. */
  async inBook(history: History): Promise<Reversal<BookEvent>> {
    checkLength(history);
    const { happened } = understoodBook(history);
    const standings = new Map(
      await Promise.all(
        authorsToAsk(happened, this.undo).map(async (id) => [id, await this.standingOf(id)] as const),
      ),
    );
    return revertBook(happened, this.undo, (id) => standings.get(id) ?? { id, status: 'unknown' });
  }

  /**
   * @param books number of live books that link the author.
   * @throws StreamNotUnderstood, and the errors of `read`.
   */
  async inAuthor(history: History, books: number): Promise<Reversal<AuthorEvent>> {
    checkLength(history);
    const { happened } = understoodAuthor(history);
    const survivor = survivorToAsk(happened, this.undo);
    const last = survivor === undefined ? undefined : await this.standingOf(survivor);
    const lives =
      last === undefined || (last.status === 'live' && authorStream(last.id) !== history[0]?.stream);
    return revertAuthor(happened, this.undo, books, lives);
  }

  /** Whether the author is live again afterwards. */
  comesBack(history: History): boolean {
    return comesBack(understoodAuthor(history).happened, this.undo);
  }

  /** Whether a book keeps an author in the catalogue. */
  holds(history: History, authorId: string): boolean {
    return holdsAuthor(understoodBook(history).happened, this.undo, authorId);
  }

  private standingOf(id: string): Promise<AuthorStanding> {
    return standingOf(id, (one) => this.author(one));
  }

  private author(id: string): Promise<Author> {
    const author = this.authors.get(id) ?? this.readAuthor(id);
    this.authors.set(id, author);
    return author;
  }

  private async readAuthor(id: string): Promise<Author> {
    const { happened } = understoodAuthor(await this.read(authorStream(id)));
    const author = authorAsKnown(happened, this.undo);
    if (!this.ahead || !comesBack(happened, this.undo)) return author;
    return revertAuthor(happened, this.undo, 0).events.reduce(evolveAuthor, author);
  }
}
