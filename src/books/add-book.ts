import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { addBook } from './book.js';
import { Books, type ListedAuthor } from './books.js';

export class AddBook extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly title: string,
    readonly authors: readonly ListedAuthor[],
    readonly context: CommandContext,
    readonly filedAs?: string,
  ) {
    super();
  }
}

@CommandHandler(AddBook)
export class AddBookHandler implements ICommandHandler<AddBook> {
  constructor(private readonly books: Books) {}

  execute({ id, title, filedAs, authors, context }: AddBook): Promise<CommandResult> {
    return this.books.change(id, context, async (book) =>
      addBook(book, { title, filedAs, authors: await this.books.ask(authors) }),
    );
  }
}
