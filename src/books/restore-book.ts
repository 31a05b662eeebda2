import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { restoreBook } from './book.js';
import { Books, type WaitingAuthor } from './books.js';

export interface RestoredBook extends CommandResult {
  /** Links that came back and wait for their author. */
  readonly waitingAuthors: readonly WaitingAuthor[];
}

export class RestoreBook extends Command<RestoredBook> {
  constructor(
    readonly id: string,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(RestoreBook)
export class RestoreBookHandler implements ICommandHandler<RestoreBook> {
  constructor(private readonly books: Books) {}

  async execute({ id, context }: RestoreBook): Promise<RestoredBook> {
    const result = await this.books.change(id, context, restoreBook);
    // As of the restore: a repeat under the same `Idempotency-Key` gets the same answer.
    const at = result.unchanged ? undefined : result.position;
    return { ...result, waitingAuthors: await this.books.waiting(id, at) };
  }
}
