import type { ClientBase } from 'pg';
import type { EventStore, RecordedEvent } from '../src/event-store/event-store.js';
import { applyOrPark, isOwnFault } from './apply-or-park.js';
import { moveCheckpoint, type Checkpoint, type Target } from './checkpoint.js';
import { park, readParkedStreams, type Parked } from './parking.js';
import { skipOf } from './skips.js';
import { takeSkip } from './take-skip.js';

/** Runs a transaction, and may run it again if it failed and left nothing behind. */
type Step = <T>(transaction: () => Promise<T>) => Promise<T>;

/**
 * Applies a batch to the tables, with rows and checkpoint in one transaction. An event that can't be applied is parked.
 * Later events of its stream are parked too, and wait. Other streams go on. An operator's skip has a transaction of its
 * own.
 * @param client with the target's schema first in its search path.
 * @param step runs each transaction. What a transaction before it wrote stays, so a batch can't be repeated as a whole.
 * @returns the checkpoint after the batch.
 * @throws CheckpointMoved
 */
export async function takeBatch(
  client: ClientBase,
  target: Target,
  store: EventStore,
  from: Checkpoint,
  events: readonly RecordedEvent[],
  step: Step = (transaction) => transaction(),
): Promise<Checkpoint> {
  let checkpoint = from;
  let start = 0;
  for (const [index, event] of events.entries()) {
    const skip = skipOf(target.projection, event);
    if (!skip) continue;
    const before = events.slice(start, index);
    if (before.length > 0) checkpoint = await step(() => take(client, target, checkpoint, before));
    checkpoint = await step(() => takeSkip(client, target, store, checkpoint, skip));
    start = index + 1;
  }
  // A batch without events is a step too: the log is there again.
  return step(() => take(client, target, checkpoint, events.slice(start)));
}

async function take(
  client: ClientBase,
  target: Target,
  from: Checkpoint,
  events: readonly RecordedEvent[],
): Promise<Checkpoint> {
  const last = events.at(-1);
  if (last === undefined) return from;
  const attempt = async (carefully: boolean): Promise<number> => {
    await client.query('begin isolation level read committed');
    try {
      const parkedBefore = await moveCheckpoint(client, target, from, last);
      const streams = [...new Set(events.map(({ stream }) => stream))];
      const parkedStreams =
        parkedBefore === 0 ? new Set() : await readParkedStreams(client, target.schema, streams);
      const waiting = events.filter(({ stream }) => parkedStreams.has(stream));
      const ready = waiting.length === 0 ? events : events.filter(({ stream }) => !parkedStreams.has(stream));
      const parked: Parked[] = waiting.map((event) => ({ event, error: null }));
      if (carefully) parked.push(...(await applyOrPark(client, target, ready)));
      else await target.projection.apply(client, ready);
      await park(client, target, parked);
      await client.query('commit');
      return parkedBefore + parked.length;
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
  };
  const parked = await attempt(false).catch((error: unknown) => {
    if (!isOwnFault(error)) throw error;
    return attempt(true);
  });
  return { ...from, position: last.position, eventId: last.id, parked };
}
