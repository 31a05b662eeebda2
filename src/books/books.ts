import { Injectable } from '@nestjs/common';
import { Authors } from '../authors/authors.js';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { CommandHandling } from '../commands/handle-command.js';
import { evolveBook, unknownBook, type Book, type LinkWish } from './book.js';
import { bookStream, flawOfBookEvent, type BookEvent } from './book.events.js';
import type { Role } from './roles.js';

/** An author in a book's list, as a request names it. */
export interface ListedAuthor {
  readonly authorId: string;
  readonly roles?: readonly Role[] | undefined;
  readonly creditedAs?: string | null | undefined;
}

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
}

const decider = (id: string) => ({
  stream: bookStream(id),
  initial: unknownBook,
  evolve: evolveBook,
  flawOf: flawOfBookEvent,
});
