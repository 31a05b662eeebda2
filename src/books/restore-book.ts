import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { restoreBook } from './book.js';
import { Books } from './books.js';

export class RestoreBook extends Command<CommandResult> {
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

  execute({ id, context }: RestoreBook): Promise<CommandResult> {
    return this.books.change(id, context, async (book) => {
      const listed = book.status === 'removed' ? await this.books.ask(book.links) : [];
      const live = listed.filter(({ author }) => author === 'live').map(({ authorId }) => authorId);
      return restoreBook(book, { liveAuthors: new Set(live) });
    });
  }
}
