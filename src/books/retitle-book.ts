import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { retitleBook } from './book.js';
import { Books } from './books.js';

export class RetitleBook extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly title: string,
    readonly context: CommandContext,
    readonly filedAs?: string,
  ) {
    super();
  }
}

@CommandHandler(RetitleBook)
export class RetitleBookHandler implements ICommandHandler<RetitleBook> {
  constructor(private readonly books: Books) {}

  execute({ id, title, filedAs, context }: RetitleBook): Promise<CommandResult> {
    return this.books.change(id, context, (book) => retitleBook(book, { title, filedAs }));
  }
}
