import { Injectable } from '@nestjs/common';
import { CommandBus, type Command } from '@nestjs/cqrs';
import type { CommandContext, CommandResult } from './command-context.js';
import { digestOf } from './idempotency-keys.js';

type ContextualCommand = Command<CommandResult> & { readonly context: CommandContext };

/** Runs commands. A command that the caller may repeat gets the digest of its meaning first. */
@Injectable()
export class Commands {
  constructor(private readonly bus: CommandBus) {}

  /** @throws the errors of {@link CommandHandling.handle}. */
  execute(command: ContextualCommand): Promise<CommandResult> {
    return this.bus.execute(command.context.repeatable ? withDigest(command) : command);
  }
}

function withDigest(command: ContextualCommand): ContextualCommand {
  const { context, ...fields } = command;
  const digest = digestOf(command.constructor.name, { ...fields, ifMatch: context.ifMatch });
  return Object.assign(Object.create(Object.getPrototypeOf(command) as object), command, {
    context: { ...context, digest },
  }) as ContextualCommand;
}
