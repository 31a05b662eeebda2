import { Injectable } from '@nestjs/common';
import { CommandBus, type Command } from '@nestjs/cqrs';
import { DomainError } from '../domain-error.js';
import {
  AnotherLog,
  AppendTooLarge,
  EventStoreUnavailable,
  StreamDeleted,
} from '../event-store/event-store.js';
import { inSpan } from '../event-store/spans.js';
import { Problem } from '../http/problem.js';
import { isUnavailable } from '../postgres/errors.js';
import { commandEnded, type CommandOutcome } from '../signals.js';
import type { CommandContext, CommandResult } from './command-context.js';
import { IdempotencyKeyReused, PreconditionFailed } from './handle-command.js';
import { digestOf } from './idempotency-keys.js';
import { TooMuchContention } from './keyed-queue.js';

type ContextualCommand<Result extends CommandResult> = Command<Result> & {
  readonly context: CommandContext;
};

/** Runs commands. A command that the caller may repeat gets the digest of its meaning first. */
@Injectable()
export class Commands {
  constructor(private readonly bus: CommandBus) {}

  /** @throws the errors of {@link CommandHandling.handle}. */
  async execute<Result extends CommandResult>(command: ContextualCommand<Result>): Promise<Result> {
    const { repeatable, commandId } = command.context;
    const began = performance.now();
    let outcome: CommandOutcome = 'done';
    try {
      const result = await inSpan(
        command.constructor.name,
        () => ({ attributes: { 'colophon.command_id': commandId } }),
        () => this.bus.execute(repeatable ? withDigest(command) : command),
      );
      outcome = result.repeated ? 'repeated' : result.unchanged ? 'unchanged' : 'done';
      return result;
    } catch (error) {
      outcome = outcomeOf(error);
      throw error;
    } finally {
      const seconds = (performance.now() - began) / 1_000;
      commandEnded.tell({ command: command.constructor.name, outcome, seconds });
    }
  }
}

const REFUSALS = [DomainError, PreconditionFailed, IdempotencyKeyReused, AppendTooLarge, StreamDeleted];
const OUTAGES = [EventStoreUnavailable, AnotherLog, TooMuchContention];

function outcomeOf(error: unknown): CommandOutcome {
  if (error instanceof Problem) return error.status < 500 ? 'refused' : 'unavailable';
  if (REFUSALS.some((kind) => error instanceof kind)) return 'refused';
  return OUTAGES.some((kind) => error instanceof kind) || isUnavailable(error) ? 'unavailable' : 'failed';
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
