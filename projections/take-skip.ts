import type { ClientBase } from 'pg';
import { StreamDeleted, type EventStore } from '../src/event-store/event-store.js';
import { applyOrPark, isOwnFault } from './apply-or-park.js';
import { moveCheckpoint, readCheckpoint, type Checkpoint, type Target } from './checkpoint.js';
import { park, unpark } from './parking.js';
import { concerns } from './projection.js';
import { isSkipped, readSkips, type Skip } from './skips.js';

/**
 * Takes an operator's skip at its place in the log, in one transaction: the skipped event is parked no longer, and the
 * events behind it are applied. If these tables could apply the event, they are brought to the state without it.
 * @param client with the target's schema first in its search path.
 * @returns the checkpoint after the skip.
 * @throws CheckpointMoved
 */
export async function takeSkip(
  client: ClientBase,
  target: Target,
  store: EventStore,
  from: Checkpoint,
  { act, stream, eventId }: Skip,
): Promise<Checkpoint> {
  const { projection, schema } = target;
  const skips = await readSkips(store, projection, act.position);
  const recorded = await store.readStream(stream).catch((error: unknown) => {
    // Nothing is left to apply. Whoever skips wants the stream no longer to be parked.
    if (error instanceof StreamDeleted) return [];
    throw error;
  });
  const history = recorded.filter(({ position }) => position < act.position);
  const events = history.filter((event) => !isSkipped(skips, event));
  await client.query('begin isolation level read committed');
  try {
    await moveCheckpoint(client, target, from, act);
    if (concerns(projection, { stream })) await apply();
    const after = await readCheckpoint(client, schema, projection);
    await client.query('commit');
    return { ...from, ...after };
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }

  async function apply(): Promise<void> {
    await client.query('savepoint skip');
    try {
      const parked = await unpark(client, target, stream);
      const applied = !parked.has(eventId) && history.some(({ id }) => id === eventId);
      if (applied) await projection.forget(client, stream);
      const left = applied ? events : events.filter(({ id }) => parked.has(id));
      await park(client, target, await applyOrPark(client, target, left));
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      // Something of others keeps the row, such as a foreign key. The next rebuild names it.
      await client.query('rollback to savepoint skip');
      await projection.mark(client, [stream], true);
    }
  }
}
