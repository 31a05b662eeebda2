import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import { CommandHandling } from '../commands/handle-command.js';
import { operationsOf, skipEvent, type Operations } from './operations.js';
import type { SkippedEvent } from './operations.events.js';

/** An operator lets a parked event have no effect on a projection. Its tables follow when they reach the skip. */
export class SkipEvent extends Command<CommandResult> {
  constructor(
    readonly projection: string,
    readonly event: SkippedEvent,
    readonly context: CommandContext,
  ) {
    super();
  }
}

@CommandHandler(SkipEvent)
export class SkipEventHandler implements ICommandHandler<SkipEvent> {
  constructor(private readonly handling: CommandHandling) {}

  execute({ projection, event, context }: SkipEvent): Promise<CommandResult> {
    const decide = (state: Operations) => skipEvent(state, event);
    return this.handling.handle({ ...operationsOf(projection), decide }, context);
  }
}
