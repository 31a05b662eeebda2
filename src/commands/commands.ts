import { Injectable } from '@nestjs/common';
import { CommandBus, type Command } from '@nestjs/cqrs';
import { inSpan } from '../event-store/spans.js';
import type { CommandContext, CommandResult } from './command-context.js';
import { digestOf } from './idempotency-keys.js';

type ContextualCommand<Result extends CommandResult> = Command<Result> & {
  readonly context: CommandContext;
};

/** Runs commands. A command that the caller may repeat gets the digest of its meaning first. */
@Injectable()
export class Commands {
  constructor(private readonly bus: CommandBus) {}

  /** @throws the errors of {@link CommandHandling.handle}. */
  execute<Result extends CommandResult>(command: ContextualCommand<Result>): Promise<Result> {
    const { repeatable, commandId } = command.context;
    return inSpan(
      command.constructor.name,
      () => ({ attributes: { 'colophon.command_id': commandId } }),
      () => this.bus.execute(repeatable ? withDigest(command) : command),
    );
  }
}

function withDigest<Result extends CommandResult>(
  command: ContextualCommand<Result>,
): ContextualCommand<Result> {
  const { context, ...fields } = command;
  const digest = digestOf(command.constructor.name, {
    ...fields,
    ifMatch: context.ifMatch,
    ifNoneMatch: context.ifNoneMatch,
  });
  return Object.assign(Object.create(Object.getPrototypeOf(command) as object), command, {
    context: { ...context, digest },
  }) as ContextualCommand<Result>;
}
