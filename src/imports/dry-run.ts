import { evolveAuthor, type Author, type AuthorStanding } from '../authors/author.js';
import type { AuthorEvent } from '../authors/author.events.js';
import { standingOf, type Authors } from '../authors/authors.js';
import { evolveBook, type Book } from '../books/book.js';
import type { BookEvent } from '../books/book.events.js';
import type { Books } from '../books/books.js';
import { partsOf, type Decide } from '../commands/decided.js';
import { checkAppend } from '../event-store/check-append.js';
import { sizeOf } from '../event-store/size.js';
import type { Redirect } from '../redirect.js';

/** What a line does, or, in a dry run, would do. */
export interface Outcome {
  readonly status: 'added' | 'changed' | 'unchanged';
  /** Position of the last event in the line's stream; undefined in a dry run. */
  readonly position?: bigint;
  /** Types of the events that a dry run would write to a stream that exists. */
  readonly changes?: readonly string[];
  /** Merged authors that the line names, and the survivors who take their places; undefined if there are none. */
  readonly redirected?: readonly Redirect[];
}

/** Where the decisions about lines go: into the log, or, in a dry run, into memory. */
export interface Target {
  readonly author: (id: string, decide: Decide<Author, AuthorEvent>) => Promise<Outcome>;
  readonly book: (id: string, decide: Decide<Book, BookEvent>) => Promise<Outcome>;
  readonly standingOf: (authorId: string) => Promise<AuthorStanding>;
}

/** A dry run has no room to remember what another line would do. */
export class DryRunTooLarge extends Error {
  override message = `Dry runs remember at most ${MAX_REMEMBERED_BYTES / 1_048_576} MiB of changes, and this one ends here.`;
}

/** All dry runs of a process share this room. It holds the changes of about half a million lines. */
const MAX_REMEMBERED_BYTES = 268_435_456;

/** The room that dry runs of a process take together, in bytes. */
export class Room {
  private taken = 0;

  constructor(private readonly size = MAX_REMEMBERED_BYTES) {}

  /** @throws DryRunTooLarge */
  take(bytes: number): void {
    if (this.taken + bytes > this.size) throw new DryRunTooLarge();
    this.taken += bytes;
  }

  giveBack(bytes: number): void {
    this.taken -= bytes;
  }
}

/** A stream's name, and its place in a map. */
const ENTRY_BYTES = 150;

/** Writes nothing. Remembers the states that earlier lines would bring about, so that later lines are decided on those. */
export class DryRun implements Target {
  private readonly authorStates = new Map<string, Author>();
  private readonly bookStates = new Map<string, Book>();
  private taken = 0;

  constructor(
    private readonly authors: Authors,
    private readonly books: Books,
    private readonly room: Room,
  ) {}

  author(id: string, decide: Decide<Author, AuthorEvent>): Promise<Outcome> {
    return this.change(id, this.authorStates, this.authors, evolveAuthor, decide);
  }

  book(id: string, decide: Decide<Book, BookEvent>): Promise<Outcome> {
    return this.change(id, this.bookStates, this.books, evolveBook, decide);
  }

  standingOf(authorId: string): Promise<AuthorStanding> {
    return standingOf(authorId, async (id) => this.authorStates.get(id) ?? this.authors.load(id));
  }

  end(): void {
    this.room.giveBack(this.taken);
    this.authorStates.clear();
    this.bookStates.clear();
  }

  private async change<State extends Author | Book, Event extends AuthorEvent | BookEvent>(
    id: string,
    states: Map<string, State>,
    stored: { load: (id: string) => Promise<State> },
    evolve: (state: State, event: Event) => State,
    decide: Decide<State, Event>,
  ): Promise<Outcome> {
    const remembered = states.get(id);
    const before = remembered ?? (await stored.load(id));
    const { events, ...redirects } = partsOf(await decide(before));
    if (events.length === 0) return { status: 'unchanged', ...redirects };
    checkAppend(events);
    const after = events.reduce(evolve, before);
    const more = bytesOf(after) - (remembered ? bytesOf(remembered) : 0);
    this.room.take(more);
    this.taken += more;
    states.set(id, after);
    return before.status === 'unknown'
      ? { status: 'added', ...redirects }
      : { status: 'changed', changes: events.map(({ type }) => type), ...redirects };
  }
}

/** A character has two bytes at most. */
const bytesOf = (state: object): number => ENTRY_BYTES + 2 * sizeOf(state);
