import { setTimeout } from 'node:timers/promises';

/** Waits until the time has passed or the signal aborts. Doesn't wait if the time isn't positive. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (milliseconds > 0) await setTimeout(milliseconds, undefined, { signal }).catch(() => undefined);
}
