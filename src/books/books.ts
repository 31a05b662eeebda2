import { Injectable } from '@nestjs/common';
import { Authors } from '../authors/authors.js';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { CommandHandling } from '../commands/handle-command.js';
import { StreamNotUnderstood } from '../commands/streams.js';
import { StreamDeleted, type Position } from '../event-store/event-store.js';
import { evolveBook, unknownBook, type Book, type LinkWish } from './book.js';
import { bookStream, flawOfBookEvent, type BookEvent } from './book.events.js';
import type { Role } from './roles.js';

/** An author in a book's list, as a request names it. */
export interface ListedAuthor {
  readonly authorId: string;
  readonly roles?: readonly Role[] | undefined;
  readonly creditedAs?: string | null | undefined;
}

/** An author of a book whose link waits for the author. */
export interface WaitingAuthor {
  readonly id: string;
  readonly reason: (typeof WAITING_REASONS)[number];
}

export const WAITING_REASONS = ['author-removed', 'author-not-found'] as const;

/** Runs commands on the streams of books. */
@Injectable()
export class Books {
  constructor(
    private readonly handling: CommandHandling,
    private readonly authors: Authors,
  ) {}

  change(
    id: string,
    context: CommandContext,
    decide: (book: Book) => BookEvent[] | Promise<BookEvent[]>,
    patienceMs?: number,
  ): Promise<CommandResult> {
    return this.handling.handle({ id, ...decider(id), decide }, context, patienceMs);
  }

  load(id: string): Promise<Book> {
    return this.handling.load(decider(id));
  }

  /** The same authors, each with the author's current status. */
  ask(authors: readonly ListedAuthor[]): Promise<LinkWish[]> {
    return Promise.all(
      authors.map(async (listed) => ({ ...listed, author: await this.authors.statusOf(listed.authorId) })),
    );
  }

  /**
   * The links of the book that wait for their author, in the book's order.
   * @param at as of this position of the log; now by default.
   */
  async waiting(id: string, at?: Position): Promise<WaitingAuthor[]> {
    const book = await this.handling.load(decider(id), at);
    const links = book.status === 'live' ? book.links : [];
    const reasons = await Promise.all(links.map(({ authorId }) => this.whyWaiting(authorId, at)));
    return links.flatMap(({ authorId }, index) => {
      const reason = reasons[index];
      return reason ? [{ id: authorId, reason }] : [];
    });
  }

  private async whyWaiting(authorId: string, at?: Position): Promise<WaitingAuthor['reason'] | undefined> {
    try {
      const status = await this.authors.statusOf(authorId, at);
      return status === 'live' ? undefined : status === 'removed' ? 'author-removed' : 'author-not-found';
    } catch (error) {
      // The command is done. An author whose stream can't be read must not turn the answer into a refusal, and the tables
      // may well have that author.
      if (error instanceof StreamNotUnderstood || error instanceof StreamDeleted) return undefined;
      throw error;
    }
  }
}

const decider = (id: string) => ({
  stream: bookStream(id),
  initial: unknownBook,
  evolve: evolveBook,
  flawOf: flawOfBookEvent,
});
