import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { removeBook } from './book.js';
import { Books } from './books.js';

export class RemoveBook extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(RemoveBook)
export class RemoveBookHandler implements ICommandHandler<RemoveBook> {
  constructor(private readonly books: Books) {}

  execute({ id, context }: RemoveBook): Promise<CommandResult> {
    return this.books.change(id, context, removeBook);
  }
}
