import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { leftOutOf, notLinkedBy, redirect, redirectsOf, reorderAuthors } from './book.js';
import { Books } from './books.js';

export class ReorderAuthors extends Command<CommandResult> {
  constructor(
    readonly bookId: string,
    readonly authorIds: readonly string[],
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(ReorderAuthors)
export class ReorderAuthorsHandler implements ICommandHandler<ReorderAuthors> {
  constructor(private readonly books: Books) {}

  execute({ bookId, authorIds, context }: ReorderAuthors): Promise<CommandResult> {
    return this.books.changeLinks(bookId, authorIds, context, async (book) => {
      const strangers = await this.books.ask(notLinkedBy(book, authorIds).map((authorId) => ({ authorId })));
      const redirected = redirectsOf(book, strangers);
      const wanted = redirect(authorIds, redirected);
      const leftOut = await this.books.ask(leftOutOf(book, wanted).map((authorId) => ({ authorId })));
      const waiting = leftOut
        .filter(({ author, merged }) => merged || author !== 'live')
        .map(({ authorId, merged }) => merged?.id ?? authorId);
      const events = reorderAuthors(book, { authorIds: wanted, waiting: new Set(waiting) });
      return { events, redirected };
    });
  }
}
