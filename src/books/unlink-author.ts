import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { notLinkedBy, redirectsOf, unlinkAuthor } from './book.js';
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
    return this.books.changeLinks(bookId, [authorId], context, async (book) => {
      // Only the id of an author who is not linked may stand for another.
      const asked = await this.books.ask(notLinkedBy(book, [authorId]).map((id) => ({ authorId: id })));
      const [author = { authorId }] = asked;
      return { events: unlinkAuthor(book, author), redirected: redirectsOf(book, asked) };
    });
  }
}
