import type { EventStore } from './event-store.js';

/**
 * Compares this machine's clock with the last time in the log.
 * @returns a warning if the clock stands before that time: either clock was wrong. Otherwise undefined.
 */
export async function clockWarning(store: EventStore): Promise<string | undefined> {
  for await (const [last] of store.readAll({ direction: 'backward', batchSize: 1 })) {
    if (!last || last.recordedAt.getTime() <= Date.now()) return undefined;
    const [clock, recorded] = [new Date(), last.recordedAt].map((time) => time.toISOString());
    return (
      `the clock says ${clock}, but the last event of the log was recorded at ${recorded}: this clock is behind, or ` +
      'the clock at that event was ahead; as-of by time does not find what was recorded under a wrong clock'
    );
  }
  return undefined;
}
