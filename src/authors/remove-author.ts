import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { removeAuthor, type Author } from './author.js';
import type { AuthorEvent, BooksOfRemoved } from './author.events.js';
import { Authors } from './authors.js';
import { BooksOfAuthor } from './books-of-author.js';

export class RemoveAuthor extends Command<CommandResult> {
  /** @param books what happens to the author's books; undefined: the removal is refused if there are any. */
  constructor(
    readonly id: string,
    readonly books: BooksOfRemoved | undefined,
    readonly context: CommandContext,
  ) {
    super();
  }
}

/** The decision of {@link RemoveAuthor}. Books are counted only if their number matters. */
export const decideRemoval =
  ({ id, books }: Pick<RemoveAuthor, 'id' | 'books'>, booksOfAuthor: BooksOfAuthor) =>
  async (author: Author): Promise<AuthorEvent[]> =>
    removeAuthor(author, {
      books: books ?? (author.status === 'live' ? await booksOfAuthor.count(id) : 0),
    });

@CommandHandler(RemoveAuthor)
export class RemoveAuthorHandler implements ICommandHandler<RemoveAuthor> {
  constructor(
    private readonly authors: Authors,
    private readonly booksOfAuthor: BooksOfAuthor,
  ) {}

  execute(command: RemoveAuthor): Promise<CommandResult> {
    return this.authors.change(command.id, command.context, decideRemoval(command, this.booksOfAuthor));
  }
}
