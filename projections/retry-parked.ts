import type { ClientBase } from 'pg';
import { OperatorError } from '../src/errors.js';
import type { EventStore } from '../src/event-store/event-store.js';
import { applyOrPark } from './apply-or-park.js';
import { readCheckpoint, type Target } from './checkpoint.js';
import { park, unpark, type Parked } from './parking.js';

/** The stream has no parked events. */
export class NothingParked extends OperatorError {
  constructor(stream: string) {
    super(`nothing of ${stream} is parked`);
  }
}

/** The result of another try. */
export interface Retried {
  /** Number of events that are in the tables now. */
  readonly applied: number;
  /** The events that are still parked. */
  readonly left: readonly Parked[];
}

/**
 * Applies a stream's parked events again, in order, in one transaction. The projector waits meanwhile. The first event
 * that still can't be applied stays parked, with the events behind it.
 * @param client with the target's schema first in its search path.
 * @throws NothingParked
 * @throws StreamDeleted if another program deleted the stream.
 * @throws OperatorError if the tables are of another version or another log.
 */
export async function retryParked(
  client: ClientBase,
  target: Target,
  store: EventStore,
  stream: string,
): Promise<Retried> {
  const { projection, schema } = target;
  await client.query('begin isolation level read committed');
  try {
    const current = await readCheckpoint(client, schema, projection, 'for update');
    if (current?.version !== projection.version || current.log !== target.log)
      throw new OperatorError(`the tables in ${schema} are of another version or another log`);
    const parked = await unpark(client, target, stream);
    if (parked.size === 0) throw new NothingParked(stream);
    const events = (await store.readStream(stream)).filter(({ id }) => parked.has(id));
    const left = await applyOrPark(client, target, events);
    await park(client, target, left);
    await client.query('commit');
    return { applied: events.length - left.length, left };
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}
