import { Injectable } from '@nestjs/common';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { CommandHandling } from '../commands/handle-command.js';
import type { Position } from '../event-store/event-store.js';
import { evolveAuthor, unknownAuthor, type Author } from './author.js';
import { authorStream, flawOfAuthorEvent, type AuthorEvent } from './author.events.js';

/** Runs commands on the streams of authors. Also tells a book's commands whether an author can be linked. */
@Injectable()
export class Authors {
  constructor(private readonly handling: CommandHandling) {}

  change(
    id: string,
    context: CommandContext,
    decide: (author: Author) => AuthorEvent[] | Promise<AuthorEvent[]>,
    patienceMs?: number,
  ): Promise<CommandResult> {
    return this.handling.handle({ id, ...decider(id), decide }, context, patienceMs);
  }

  /**
   * Whether the author can be linked.
   * @param at at this position of the log; now by default.
   */
  async statusOf(id: string, at?: Position): Promise<Author['status']> {
    return (await this.handling.load(decider(id), at)).status;
  }

  load(id: string): Promise<Author> {
    return this.handling.load(decider(id));
  }
}

const decider = (id: string) => ({
  stream: authorStream(id),
  initial: unknownAuthor,
  evolve: evolveAuthor,
  flawOf: flawOfAuthorEvent,
});
