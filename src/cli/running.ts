import { constants, setPriority } from 'node:os';
import { loadConfig } from '../config.js';
import { openResources, openTables, type Resources, type Tables } from '../resources.js';

/** Runs work with the service's resources, projector included. */
export async function withResources(work: (resources: Resources) => Promise<void>): Promise<void> {
  const resources = await openResources(loadConfig());
  await closing(resources.close, () => work(resources));
}

/** Runs work on the tables, without a projector. An aborted signal tells the work to stop. */
export async function withTables(
  work: (tables: Tables, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  // A service on the same machine has priority.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const tables = await openTables(loadConfig());
  const stop = new AbortController();
  await closing(
    () => {
      stop.abort();
      return tables.close();
    },
    () => work(tables, stop.signal),
  );
}

/** Closes after the work, even if the work failed. Ctrl-C closes first too, to release the embedded server. */
export async function closing(close: () => Promise<unknown>, work: () => Promise<void>): Promise<void> {
  const leave = () => void close().finally(() => process.exit(130));
  process.once('SIGINT', leave).once('SIGTERM', leave);
  try {
    await work();
  } finally {
    await close();
  }
}
