import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { renameAuthor } from './author.js';
import { Authors } from './authors.js';

export class RenameAuthor extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly name: string,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(RenameAuthor)
export class RenameAuthorHandler implements ICommandHandler<RenameAuthor> {
  constructor(private readonly authors: Authors) {}

  execute({ id, name, context }: RenameAuthor): Promise<CommandResult> {
    return this.authors.change(id, context, (author) => renameAuthor(author, { name }));
  }
}
