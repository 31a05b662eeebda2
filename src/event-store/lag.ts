import type { EventStore, Position } from './event-store.js';
import { within } from './within.js';

/** Other programs may have written much between two events of the log. */
const PATIENCE_MS = 1_000;

/** How far tables are behind the log. */
export interface Lag {
  /** Difference of the positions. */
  readonly positions: number;
  /** Age of the oldest event that is not in the tables; undefined if the event is not found in time. */
  readonly seconds: number | undefined;
}

/** When the first event after a position was recorded; undefined if there is none. Takes any time. */
export async function recordedAfter(
  store: EventStore,
  position: Position | undefined,
): Promise<Date | undefined> {
  for await (const [event] of store.readAll({ from: position, batchSize: 1 })) return event?.recordedAt;
  return undefined;
}

/**
 * @param head of the log, read after the position, so that the lag is never negative.
 * @param recorded asks for {@link recordedAfter}, perhaps together with others. Waits for the answer for a second.
 */
export async function lagOf(
  store: EventStore,
  position: Position | undefined,
  head: Position | undefined,
  recorded = recordedAfter,
): Promise<Lag> {
  const positions = Math.max(0, Number((head ?? 0n) - (position ?? 0n)));
  if (positions === 0) return { positions, seconds: 0 };
  const recordedAt = await within(performance.now() + PATIENCE_MS, recorded(store, position)).catch(
    () => undefined,
  );
  return { positions, seconds: recordedAt && Math.max(0, Date.now() - recordedAt.getTime()) / 1_000 };
}
