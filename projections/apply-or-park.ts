import type { ClientBase } from 'pg';
import type { RecordedEvent } from '../src/event-store/event-store.js';
import { isUnavailable } from '../src/postgres/database.js';
import { CheckpointMoved, type Target } from './checkpoint.js';
import type { Parked } from './parking.js';

// Bad data, a row twice in one statement, a broken constraint, a limit of the server: this event's own fault. All else is trouble that would park
// the whole log: a missing table, a full disk, a lost connection.
const OWN_FAULT = /^(21|22|23|54)/;

/** Whether an error is for the event to bear, rather than for everything that comes after. */
export function isOwnFault(error: unknown): boolean {
  if (error instanceof CheckpointMoved || isUnavailable(error)) return false;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? OWN_FAULT.test(code) : true;
}

/**
 * Applies events, and gives back those that can't be applied: what fails is halved until it is a single event. The caller
 * holds the transaction.
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
