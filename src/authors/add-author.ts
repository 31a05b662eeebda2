import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../event-store/command-context.js';
import { addAuthor } from './author.js';
import { Authors } from './authors.js';

export class AddAuthor extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly name: string,
    readonly context: CommandContext,
    /** The id was made for this command. */
    readonly fresh: boolean,
  ) {
    super();
  }
}

@CommandHandler(AddAuthor)
export class AddAuthorHandler implements ICommandHandler<AddAuthor> {
  constructor(private readonly authors: Authors) {}

  execute({ id, name, context, fresh }: AddAuthor): Promise<CommandResult> {
    return this.authors.change(id, context, (author) => addAuthor(author, { name }), fresh);
  }
}
