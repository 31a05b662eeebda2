import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { restoreAuthor } from './author.js';
import { Authors } from './authors.js';

export class RestoreAuthor extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(RestoreAuthor)
export class RestoreAuthorHandler implements ICommandHandler<RestoreAuthor> {
  constructor(private readonly authors: Authors) {}

  execute({ id, context }: RestoreAuthor): Promise<CommandResult> {
    return this.authors.change(id, context, restoreAuthor);
  }
}
