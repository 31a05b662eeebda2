import { setTimeout } from 'node:timers/promises';

/** Waits, or less where the signal aborts; not at all for a time that isn't positive. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (milliseconds > 0) await setTimeout(milliseconds, undefined, { signal }).catch(() => undefined);
}
