import { constants, setPriority } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { loadConfig } from '../config.js';
import { whenAborted } from '../program.js';
import { openResources, openTables, type Resources, type Tables } from '../resources.js';
import { stop } from './stop.js';

/** How long work may take to end after an interruption, before everything is closed under it. */
const GRACE_MS = 5_000;

/** Runs work with the service's resources, projector included. An aborted signal tells the work to stop. */
export function withResources(
  work: (resources: Resources, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  return withOpened((signal) => openResources(loadConfig(), signal), work);
}

/** Runs work on the tables, without a projector. An aborted signal tells the work to stop. */
export function withTables(work: (tables: Tables, signal: AbortSignal) => Promise<void>): Promise<void> {
  // A service on the same machine has priority.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  return withOpened((signal) => openTables(loadConfig(), signal), work);
}

/**
 * Opens, works, and closes, even if the work failed.
 * @throws the reason of an interruption, after everything is closed. What the work then throws doesn't matter.
 */
export async function withOpened<T extends { readonly close: () => Promise<unknown> }>(
  open: (signal: AbortSignal) => Promise<T>,
  work: (opened: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { signal } = stop;
  signal.throwIfAborted();
  const opened = await open(signal);
  try {
    const working = work(opened, signal);
    await Promise.race([working, whenAborted(signal)]);
    if (signal.aborted) await Promise.race([working, setTimeout(GRACE_MS, undefined, { ref: false })]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await opened.close();
  }
  signal.throwIfAborted();
}
