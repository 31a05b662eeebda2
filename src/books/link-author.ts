import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { linkAuthor, redirectsOf, type LinkWish } from './book.js';
import { Books, type ListedAuthor } from './books.js';

export class LinkAuthor extends Command<CommandResult> {
  constructor(
    readonly bookId: string,
    readonly link: ListedAuthor & Pick<LinkWish, 'position'>,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(LinkAuthor)
export class LinkAuthorHandler implements ICommandHandler<LinkAuthor> {
  constructor(private readonly books: Books) {}

  execute({ bookId, link, context }: LinkAuthor): Promise<CommandResult> {
    return this.books.changeLinks(bookId, [link.authorId], context, async (book) => {
      const [wish = { ...link, author: 'unknown' as const }] = await this.books.ask([link]);
      return { events: linkAuthor(book, wish), redirected: redirectsOf(book, [wish]) };
    });
  }
}
