import type { ClientBase } from 'pg';
import { OperatorError } from '../src/errors.js';
import { StreamDeleted, type EventStore } from '../src/event-store/event-store.js';
import { applyOrPark } from './apply-or-park.js';
import { readCheckpoint, type Target } from './checkpoint.js';
import { park, type Parked } from './parking.js';

/** The stream has no parked events. */
export class NothingParked extends OperatorError {
  constructor(stream: string) {
    super(`nothing of ${stream} is parked`);
  }
}

/**
 * Applies a stream's parked events again, in order, in one transaction. The projector waits meanwhile. The first event
 * that still can't be applied stays parked, with the events behind it.
 * @param client with the target's schema first in its search path.
 * @param skip leaves out the first parked event, which then has no effect on the tables.
 * @returns the events that are still parked.
 * @throws NothingParked
 * @throws StreamDeleted if another program deleted the stream, unless `skip`.
 * @throws OperatorError if the tables are of another version or another log.
 */
export async function retryParked(
  client: ClientBase,
  target: Target,
  store: EventStore,
  stream: string,
  skip: boolean,
): Promise<Parked[]> {
  const { projection, schema } = target;
  await client.query('begin isolation level read committed');
  try {
    const current = await readCheckpoint(client, schema, projection, 'for update');
    if (current?.version !== projection.version || current.log !== target.log)
      throw new OperatorError(`the tables in ${schema} are of another version or another log`);
    const { rows } = await client.query<{ position: string }>(
      `delete from ${schema}.parked where stream = $1 returning position`,
      [stream],
    );
    if (rows.length === 0) throw new NothingParked(stream);
    await client.query(`update ${schema}.checkpoint set parked = parked - $1 where projection = $2`, [
      rows.length,
      projection.name,
    ]);
    await projection.mark(client, [stream], false);
    const positions = new Set(rows.map(({ position }) => position));
    const recorded = await store.readStream(stream).catch((error: unknown) => {
      // Nothing is left to apply. Whoever skips wants the stream no longer to be parked.
      if (skip && error instanceof StreamDeleted) return [];
      throw error;
    });
    const events = recorded.filter((event) => positions.has(event.position.toString()));
    const left = await applyOrPark(client, target, events.slice(skip ? 1 : 0));
    await park(client, target, left);
    await client.query('commit');
    return left;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}
