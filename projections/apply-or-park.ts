import type { ClientBase } from 'pg';
import type { RecordedEvent } from '../src/event-store/event-store.js';
import { isUnavailable } from '../src/postgres/database.js';
import { CheckpointMoved, type Target } from './checkpoint.js';
import type { Parked } from './parking.js';

// Faults of one event: bad data (22), a row twice in one statement (21), a broken constraint (23), a limit of the
// server (54). Other faults, such as a missing table, a full disk or a lost connection, would park the whole log.
const OWN_FAULT = /^(21|22|23|54)/;

/** Whether an error is the fault of one event, so that the event can be parked and the others can go on. */
export function isOwnFault(error: unknown): boolean {
  if (error instanceof CheckpointMoved || isUnavailable(error)) return false;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? OWN_FAULT.test(code) : true;
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
