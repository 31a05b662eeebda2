import { Injectable } from '@nestjs/common';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import type { Decide, Parts } from '../commands/decided.js';
import { CommandHandling } from '../commands/handle-command.js';
import type { Position } from '../event-store/event-store.js';
import { AuthorIsMerged, evolveAuthor, isMerged, unknownAuthor } from './author.js';
import type { Author, AuthorStanding } from './author.js';
import { authorStream, flawOfAuthorEvent, type AuthorEvent } from './author.events.js';

/** Runs commands on the streams of authors. Also tells a book's commands whether an author can be linked. */
@Injectable()
export class Authors {
  constructor(private readonly handling: CommandHandling) {}

  /** A refusal of a merged author names the last survivor. */
  change(
    id: string,
    context: CommandContext,
    decide: Decide<Author, AuthorEvent>,
    patienceMs?: number,
  ): Promise<CommandResult> {
    return this.handling.handle(this.handlingOf(id, decide), context, patienceMs);
  }

  /** What {@link change} would write and say. */
  preview(
    id: string,
    context: CommandContext,
    decide: Decide<Author, AuthorEvent>,
  ): Promise<Parts<AuthorEvent>> {
    return this.handling.preview(this.handlingOf(id, decide), context);
  }

  /**
   * Whether the author can be linked, or, if the author was merged, the last survivor.
   * @param at at this position of the log; now by default.
   */
  standingOf(id: string, at?: Position): Promise<AuthorStanding> {
    return standingOf(id, (one) => this.load(one, at));
  }

  /** @param at as of this position of the log; now by default. */
  load(id: string, at?: Position): Promise<Author> {
    return this.handling.load(decider(id), at);
  }

  private handlingOf(id: string, decide: Decide<Author, AuthorEvent>) {
    const decideOrNameSurvivor = async (author: Author) => {
      try {
        return await decide(author);
      } catch (error) {
        if (!(error instanceof AuthorIsMerged)) throw error;
        throw new AuthorIsMerged((await this.standingOf(id)).id);
      }
    };
    return { id, ...decider(id), decide: decideOrNameSurvivor };
  }
}

/**
 * Whether the author can be linked, or, if the author was merged, the last survivor. Two processes can merge two authors
 * into each other; a policy takes one of the merges back. Until then, such an author counts as removed.
 */
export async function standingOf(id: string, load: (id: string) => Promise<Author>): Promise<AuthorStanding> {
  const author = await load(id);
  const own = isMerged(author) ? { name: author.name } : {};
  const seen = new Set<string>();
  let [last, survivor] = [id, author];
  while (isMerged(survivor)) {
    if (seen.has(last)) return { id, status: 'removed' };
    seen.add(last);
    last = survivor.mergedInto;
    survivor = await load(last);
  }
  return { id: last, status: survivor.status, ...own };
}

const decider = (id: string) => ({
  stream: authorStream(id),
  initial: unknownAuthor,
  evolve: evolveAuthor,
  flawOf: flawOfAuthorEvent,
});
