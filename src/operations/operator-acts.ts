import type { Pool } from 'pg';
import type { CommandContext } from '../commands/command-context.js';
import { CommandHandling } from '../commands/handle-command.js';
import { IdempotencyKeys } from '../commands/idempotency-keys.js';
import { OperatorError } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Act } from './operations.events.js';
import { operationsOf, tellAct, type Operations } from './operations.js';

/** The act took effect, and the log may not tell of it. */
export class ActNotTold extends OperatorError {
  constructor(act: Act, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`${inWords(act)}, but the log may not tell so: ${why}`, { cause });
  }
}

/** Tells a log what operators did to it, and to the tables that were built from it. */
export class OperatorActs {
  private readonly handling: CommandHandling;

  /**
   * @param log id of the log.
   * @param pool is never asked: an act has no `Idempotency-Key`.
   */
  constructor(
    store: EventStore,
    private readonly log: string,
    pool: Pool,
  ) {
    this.handling = new CommandHandling(store, new IdempotencyKeys(pool));
  }

  /**
   * @param context who acted, and why. Conditions of a request don't count: the act took effect already.
   * @throws ActNotTold
   */
  async record(act: Act, { ifMatch: _, ifNoneMatch: __, ...context }: CommandContext): Promise<void> {
    const decide = (operations: Operations) => tellAct(operations, act);
    try {
      await this.handling.handle({ ...operationsOf(this.log), decide }, context);
    } catch (error) {
      throw new ActNotTold(act, error);
    }
  }
}

function inWords({ type, data }: Act): string {
  switch (type) {
    case 'TablesRebuilt':
      return `the tables of ${data.projection} are rebuilt`;
    case 'TablesRepaired':
      return `${data.rows} rows of ${data.projection} are repaired`;
    case 'ParkedRetried':
      return `${data.applied} parked events of ${data.stream} are applied, and ${data.parked} are still parked`;
    case 'LogTransferred':
      return 'the log is transferred';
  }
}
