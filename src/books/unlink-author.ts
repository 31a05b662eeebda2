import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { unlinkAuthor } from './book.js';
import { Books } from './books.js';

export class UnlinkAuthor extends Command<CommandResult> {
  constructor(
    readonly bookId: string,
    readonly authorId: string,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(UnlinkAuthor)
export class UnlinkAuthorHandler implements ICommandHandler<UnlinkAuthor> {
  constructor(private readonly books: Books) {}

  execute({ bookId, authorId, context }: UnlinkAuthor): Promise<CommandResult> {
    return this.books.change(bookId, context, (book) => unlinkAuthor(book, { authorId }));
  }
}
