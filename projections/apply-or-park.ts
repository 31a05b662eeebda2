import type { ClientBase } from 'pg';
import type { RecordedEvent } from '../src/event-store/event-store.js';
import { classify, sqlState } from '../src/postgres/errors.js';
import { CheckpointMoved, type Target } from './checkpoint.js';
import type { Parked } from './parking.js';

/**
 * Whether an error is the fault of one event, so that the event can be parked and the others can go on: the fold's own
 * error, or values that the server refuses. Other faults, such as a missing table, would park the whole log.
 */
export function isOwnFault(error: unknown): boolean {
  if (error instanceof CheckpointMoved) return false;
  const fault = classify(error);
  return fault === 'refused' || (fault === 'bug' && sqlState(error) === undefined);
}

/**
 * Applies events. A group that fails is halved until a single event remains. The caller holds the transaction.
 * @returns the events that can't be applied.
 */
export async function applyOrPark(
  client: ClientBase,
  target: Target,
  events: readonly RecordedEvent[],
): Promise<Parked[]> {
  const [first] = events;
  if (!first) return [];
  await client.query('savepoint apply');
  try {
    await target.projection.apply(client, events);
    await client.query('release savepoint apply');
    return [];
  } catch (error) {
    if (!isOwnFault(error)) throw error;
    await client.query('rollback to savepoint apply');
    if (events.length === 1) return [{ event: first, error: (error as Error).message }];
  }
  const half = Math.ceil(events.length / 2);
  const parked = await applyOrPark(client, target, events.slice(0, half));
  const streams = new Set(parked.map(({ event }) => event.stream));
  const rest = events.slice(half);
  const waiting = rest.filter((event) => streams.has(event.stream));
  const ready = rest.filter((event) => !streams.has(event.stream));
  return [
    ...parked,
    ...waiting.map((event) => ({ event, error: null })),
    ...(await applyOrPark(client, target, ready)),
  ];
}
