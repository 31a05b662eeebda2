import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { removeAuthor } from './author.js';
import { Authors } from './authors.js';
import { BooksOfAuthor } from './books-of-author.js';

export class RemoveAuthor extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(RemoveAuthor)
export class RemoveAuthorHandler implements ICommandHandler<RemoveAuthor> {
  constructor(
    private readonly authors: Authors,
    private readonly booksOfAuthor: BooksOfAuthor,
  ) {}

  execute({ id, context }: RemoveAuthor): Promise<CommandResult> {
    return this.authors.change(id, context, async (author) =>
      removeAuthor(author, { books: author.status === 'live' ? await this.booksOfAuthor.count(id) : 0 }),
    );
  }
}
