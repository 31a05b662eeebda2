import { Injectable } from '@nestjs/common';
import { isMerged, type AuthorStanding } from '../authors/author.js';
import { Authors } from '../authors/authors.js';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import type { Decide } from '../commands/decided.js';
import { CommandHandling } from '../commands/handle-command.js';
import { ifReadable } from '../commands/streams.js';
import type { Position } from '../event-store/event-store.js';
import type { Redirect } from '../redirect.js';
import { evolveBook, notLinkedBy, unknownBook, type Book, type NamedAuthor } from './book.js';
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

/** A link to a merged author waits until a policy puts the survivor in the author's place. */
export const WAITING_REASONS = ['author-removed', 'author-not-found', 'author-merged'] as const;

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
    decide: Decide<Book, BookEvent>,
    patienceMs?: number,
  ): Promise<CommandResult> {
    return this.handling.handle({ id, ...streamOfBook(id), decide }, context, patienceMs);
  }

  load(id: string, at?: Position): Promise<Book> {
    return this.handling.load(streamOfBook(id), at);
  }

  /** The same authors, each with the author's standing. */
  ask<Listed extends ListedAuthor>(authors: readonly Listed[]): Promise<(Listed & NamedAuthor)[]> {
    return Promise.all(
      authors.map(async (listed) => named(listed, await this.authors.standingOf(listed.authorId))),
    );
  }

  /**
   * Like {@link change}, for a command that names authors. A repeat gets the redirects that the first try got.
   * @param authorIds the authors that the command names.
   */
  async changeLinks(
    id: string,
    authorIds: readonly string[],
    context: CommandContext,
    decide: Decide<Book, BookEvent>,
  ): Promise<CommandResult> {
    const result = await this.change(id, context, decide);
    if (!result.repeated) return result;
    const redirected = await this.redirectsAt(id, authorIds, result.position);
    return { ...result, ...(redirected.length > 0 && { redirected }) };
  }

  /** The redirects of a command whose last event is at a position: of authors who were not linked before or after. */
  private async redirectsAt(id: string, authorIds: readonly string[], at: Position): Promise<Redirect[]> {
    const [before, after] = await Promise.all([this.load(id, at - 1n), this.load(id, at)]);
    const strangers = [...new Set(notLinkedBy(before, notLinkedBy(after, authorIds)))];
    const standings = await Promise.all(strangers.map((one) => ifReadable(this.authors.standingOf(one, at))));
    return strangers.flatMap((from, index) => {
      const to = standings[index]?.id;
      return to === undefined || to === from ? [] : [{ from, to }];
    });
  }

  /**
   * The links of the book that wait for their author, in the book's order.
   * @param at as of this position of the log; now by default.
   */
  async waiting(id: string, at?: Position): Promise<WaitingAuthor[]> {
    const book = await this.load(id, at);
    const links = book.status === 'live' ? book.links : [];
    const reasons = await Promise.all(links.map(({ authorId }) => this.whyWaiting(authorId, at)));
    return links.flatMap(({ authorId }, index) => {
      const reason = reasons[index];
      return reason ? [{ id: authorId, reason }] : [];
    });
  }

  private async whyWaiting(authorId: string, at?: Position): Promise<WaitingAuthor['reason'] | undefined> {
    // The tables may well have an author whose stream can't be read.
    const author = await ifReadable(this.authors.load(authorId, at));
    if (author === undefined || author.status === 'live') return undefined;
    if (author.status === 'unknown') return 'author-not-found';
    return isMerged(author) ? 'author-merged' : 'author-removed';
  }
}

/** An author as a request names it, once the author's standing is known. */
export function named<Listed extends ListedAuthor>(
  listed: Listed,
  { id, status, name }: AuthorStanding,
): Listed & NamedAuthor {
  const { authorId } = listed;
  const merged = name === undefined || id === authorId ? undefined : { id: authorId, name };
  return { ...listed, authorId: id, author: status, merged };
}

/** What it takes to fold a book's stream. */
export const streamOfBook = (id: string) => ({
  stream: bookStream(id),
  initial: unknownBook,
  evolve: evolveBook,
  flawOf: flawOfBookEvent,
});
