import { constants, setPriority } from 'node:os';
import { loadConfig } from '../config.js';
import { openResources, openTables, type Resources, type Tables } from '../resources.js';

/** Runs work that needs the service's resources, projection included. */
export async function withResources(work: (resources: Resources) => Promise<void>): Promise<void> {
  const resources = await openResources(loadConfig());
  await closing(resources.close, () => work(resources));
}

/** Runs work on the tables, without projecting into them. The signal says that the work is to stop. */
export async function withTables(
  work: (tables: Tables, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  // A service on the same machine goes first.
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

/** Closes after the work, whatever became of it. Ctrl-C ends the process only after the embedded server has been let go. */
export async function closing(close: () => Promise<unknown>, work: () => Promise<void>): Promise<void> {
  const leave = () => void close().finally(() => process.exit(130));
  process.once('SIGINT', leave).once('SIGTERM', leave);
  try {
    await work();
  } finally {
    await close();
  }
}
