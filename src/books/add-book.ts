import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { addBook, redirectsOf } from './book.js';
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
    const ids = authors.map(({ authorId }) => authorId);
    return this.books.changeLinks(id, ids, context, async (book) => {
      const asked = await this.books.ask(authors);
      return {
        events: addBook(book, { title, filedAs, authors: asked }),
        redirected: redirectsOf(book, asked),
      };
    });
  }
}
