import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { leftOutOf, reorderAuthors } from './book.js';
import { Books } from './books.js';

export class ReorderAuthors extends Command<CommandResult> {
  constructor(
    readonly bookId: string,
    readonly authorIds: readonly string[],
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(ReorderAuthors)
export class ReorderAuthorsHandler implements ICommandHandler<ReorderAuthors> {
  constructor(private readonly books: Books) {}

  execute({ bookId, authorIds, context }: ReorderAuthors): Promise<CommandResult> {
    return this.books.change(bookId, context, async (book) => {
      const leftOut = await this.books.ask(leftOutOf(book, authorIds).map((authorId) => ({ authorId })));
      const waiting = leftOut.filter(({ author }) => author !== 'live').map(({ authorId }) => authorId);
      return reorderAuthors(book, { authorIds, waiting: new Set(waiting) });
    });
  }
}
