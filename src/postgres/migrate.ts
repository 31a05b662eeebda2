import { join } from 'node:path';
import { runner } from 'node-pg-migrate';
import { connectChecked } from './check-server.js';
import { refusalOf } from './refusal.js';

/** Migrations of one schema. Each feature with tables of its own has a set. */
export interface Migrations {
  readonly schema: string;
  /** Folder of the SQL files. */
  readonly dir: string;
}

const EVENT_STORE: Migrations = { schema: 'event_store', dir: join(import.meta.dirname, 'migrations') };

/**
 * Brings a schema up to date, by default the event store's. Processes that start at the same time wait for one lock.
 * @param signal ends the wait, and the migration.
 * @throws OperatorError if the server can't be used, or refuses the migration.
 */
export async function migrate(
  connectionString: string,
  signal?: AbortSignal,
  { schema, dir } = EVENT_STORE,
): Promise<void> {
  const client = await connectChecked(connectionString);
  const leave = () => client.connection.stream.destroy();
  let lost: Error | undefined;
  client.on('error', (error) => (lost = error));
  signal?.addEventListener('abort', leave);
  try {
    await client.query(`select pg_advisory_lock(hashtext('colophon migrate'))`);
    await runner({
      dbClient: client,
      dir,
      direction: 'up',
      migrationsTable: 'migrations',
      migrationsSchema: schema,
      createMigrationsSchema: true,
      noLock: true,
      log: () => undefined,
    });
  } catch (error) {
    // The migration tool puts the driver's error into a text of its own.
    throw refusalOf(error) ?? refusalOf(lost) ?? error;
  } finally {
    signal?.removeEventListener('abort', leave);
    await client.end().catch(() => undefined);
  }
}
