import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { addAuthor } from './author.js';
import { Authors } from './authors.js';

export class AddAuthor extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly name: string,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(AddAuthor)
export class AddAuthorHandler implements ICommandHandler<AddAuthor> {
  constructor(private readonly authors: Authors) {}

  execute({ id, name, context }: AddAuthor): Promise<CommandResult> {
    return this.authors.change(id, context, (author) => addAuthor(author, { name }));
  }
}
