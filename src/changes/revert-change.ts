import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { CommandHandling } from '../commands/handle-command.js';
import type { Standing } from '../commands/streams.js';
import { revertChange } from './change.js';
import { flawOfChangeEvent, type ChangeEvent } from './change.events.js';
import { changeStream } from './change-stream.js';
import { Changes } from './changes.js';

/** A change is to be undone, as far as nobody has changed its effects since. Policies do so. */
export class RevertChange extends Command<CommandResult> {
  constructor(
    readonly id: string,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(RevertChange)
export class RevertChangeHandler implements ICommandHandler<RevertChange> {
  constructor(
    private readonly handling: CommandHandling,
    private readonly changes: Changes,
  ) {}

  execute({ id, context }: RevertChange): Promise<CommandResult> {
    const decide = async (): Promise<ChangeEvent[]> => revertChange(id, await this.changes.find(id), context);
    return this.handling.handle({ id, stream: changeStream(id), ...stateless, decide }, context);
  }
}

/** Which reverts are in effect depends on other changes' streams too: see {@link Changes}. */
const stateless = {
  initial: { status: 'unknown' } as Standing,
  evolve: (): Standing => ({ status: 'live' }),
  flawOf: flawOfChangeEvent,
};
