import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import type { Decided } from '../commands/decided.js';
import { PATIENCE_MS } from '../commands/handle-command.js';
import { ifReadable } from '../commands/streams.js';
import { KeyedQueue } from '../commands/keyed-queue.js';
import type { Redirect } from '../redirect.js';
import { isMerged, mergeAuthor, type Author, type AuthorStanding } from './author.js';
import type { AuthorEvent } from './author.events.js';
import { Authors } from './authors.js';

export class MergeAuthor extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly into: string,
    readonly context: CommandContext,
  ) {
    super();
  }
}

/** The decision of {@link MergeAuthor}. */
export const decideMerge =
  ({ id, into }: Pick<MergeAuthor, 'id' | 'into'>, authors: Authors) =>
  async (author: Author): Promise<Decided<AuthorEvent>> => {
    const survivor = isMerged(author) ? (await authors.standingOf(id)).id : undefined;
    const standing = await authors.standingOf(into);
    return {
      events: mergeAuthor(author, { id, into: standing, survivor }),
      redirected: redirectsTo(standing, into),
    };
  };

const redirectsTo = ({ id: to }: AuthorStanding, from: string): Redirect[] =>
  from === to ? [] : [{ from, to }];

/** Merges that wait for their turn. Each holds two ids. */
const MAX_WAITING = 256;

@CommandHandler(MergeAuthor)
export class MergeAuthorHandler implements ICommandHandler<MergeAuthor> {
  private readonly turns = new KeyedQueue(MAX_WAITING);

  constructor(private readonly authors: Authors) {}

  /**
   * A merge depends on the stream of the other author too, so merges take turns: two authors who are merged into each
   * other at once would both be gone. A policy takes back a merge by another process that closes such a circle.
   */
  async execute(command: MergeAuthor): Promise<CommandResult> {
    const { id, into, context } = command;
    const deadline = performance.now() + PATIENCE_MS;
    const merge = () =>
      this.authors.change(id, context, decideMerge(command, this.authors), deadline - performance.now());
    const result = await this.turns.run('merge', merge, deadline);
    if (!result.repeated) return result;
    const standing = await ifReadable(this.authors.standingOf(into, result.position));
    const redirected = standing ? redirectsTo(standing, into) : [];
    return { ...result, ...(redirected.length > 0 && { redirected }) };
  }
}
