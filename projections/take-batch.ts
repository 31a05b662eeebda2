import type { ClientBase } from 'pg';
import type { RecordedEvent } from '../src/event-store/event-store.js';
import { applyOrPark, isOwnFault } from './apply-or-park.js';
import { moveCheckpoint, type Checkpoint, type Target } from './checkpoint.js';
import { park, type Parked } from './parking.js';

/**
 * Applies a batch to the tables, with rows and checkpoint in one transaction. An event that can't be applied is parked.
 * Later events of its stream are parked too, and wait. Other streams go on.
 * @param client with the target's schema first in its search path.
 * @param parkedStreams streams with parked events in the tables. Streams that get parked events are added.
 * @returns the checkpoint after the batch.
 * @throws CheckpointMoved
 */
export async function takeBatch(
  client: ClientBase,
  target: Target,
  from: Checkpoint,
  parkedStreams: Set<string>,
  events: readonly RecordedEvent[],
): Promise<Checkpoint> {
  const last = events.at(-1);
  if (last === undefined) return from;
  const waiting = events.filter((event) => parkedStreams.has(event.stream));
  const ready = waiting.length === 0 ? events : events.filter((event) => !parkedStreams.has(event.stream));
  const attempt = async (carefully: boolean): Promise<Parked[]> => {
    await client.query('begin isolation level read committed');
    try {
      await moveCheckpoint(client, target, from, last);
      const parked: Parked[] = waiting.map((event) => ({ event, error: null }));
      if (carefully) parked.push(...(await applyOrPark(client, target, ready)));
      else await target.projection.apply(client, ready);
      await park(client, target, parked);
      await client.query('commit');
      return parked;
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
  };
  const parked = await attempt(false).catch((error: unknown) => {
    if (!isOwnFault(error)) throw error;
    return attempt(true);
  });
  for (const { event } of parked) parkedStreams.add(event.stream);
  return { ...from, position: last.position, eventId: last.id, parked: from.parked + parked.length };
}
