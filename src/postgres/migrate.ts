import { join } from 'node:path';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import { OperatorError } from '../errors.js';
import { hidePassword } from '../secrets.js';
import { connectionOptions, setNewerSettings } from './connection-options.js';
import { APPLICATION_NAME } from './database.js';
import { reasonOf } from './errors.js';
import { refusalOf } from './refusal.js';
import { READER, SERVICE } from './roles.js';

const OLDEST_SERVER = 150_000;
/** In a database with another encoding, names of some languages can't be written, or are cut inside a letter. */
const ENCODING = 'UTF8';

/**
 * Checks that the server can be reached and is new enough.
 * @returns whether the server has a login for SQL clients.
 * @throws OperatorError if the server can't be used.
 */
export async function checkServer(connectionString: string): Promise<{ hasReader: boolean }> {
  const client = await connect(connectionString);
  try {
    const { rowCount } = await client.query('select from pg_roles where rolname = $1', [READER]);
    return { hasReader: rowCount === 1 };
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Migrations of one schema. Each feature with tables of its own has a set. */
export interface Migrations {
  readonly schema: string;
  /** Folder of the SQL files. */
  readonly dir: string;
  /** A statement that follows the migrations at every start. */
  readonly grants?: string;
}

/** On the embedded server, the log belongs to the owner of the server. The service can only read and append. */
const EVENT_STORE: Migrations = {
  schema: 'event_store',
  dir: join(import.meta.dirname, 'migrations'),
  grants: `
    do $$ begin
      if has_table_privilege(to_regrole('${SERVICE}'), 'event_store.events', 'insert') = false then
        grant usage on schema event_store to ${SERVICE};
        grant select, insert on event_store.events to ${SERVICE};
        grant select on event_store.log to ${SERVICE};
      end if;
    end $$`,
};

/**
 * Brings a schema up to date, by default the event store's. Processes that start at the same time wait for one lock.
 * @param signal ends the wait, and the migration.
 * @throws OperatorError like {@link checkServer}.
 */
export async function migrate(
  connectionString: string,
  signal?: AbortSignal,
  { schema, dir, grants } = EVENT_STORE,
): Promise<void> {
  const client = await connect(connectionString);
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
    if (grants !== undefined) await client.query(grants);
  } catch (error) {
    // The migration tool puts the driver's error into a text of its own.
    throw refusalOf(error) ?? refusalOf(lost) ?? error;
  } finally {
    signal?.removeEventListener('abort', leave);
    await client.end().catch(() => undefined);
  }
}

async function connect(connectionString: string): Promise<Client> {
  let client: Client;
  try {
    client = new Client(
      connectionOptions(connectionString, {
        connectionTimeoutMillis: 5_000,
        application_name: APPLICATION_NAME,
      }),
    );
    client.on('error', () => undefined);
    await client.connect();
  } catch (error) {
    throw new OperatorError(
      `can't connect to PostgreSQL at ${hidePassword(connectionString)}: ${reasonOf(error)}`,
    );
  }
  await setNewerSettings(client);
  const { rows } = await client.query<{ version: string; encoding: string }>(
    `select current_setting('server_version_num') as version, current_setting('server_encoding') as encoding`,
  );
  const { version, encoding } = rows[0] ?? {};
  if (Number(version) >= OLDEST_SERVER && encoding === ENCODING) return client;
  await client.end();
  throw new OperatorError(
    encoding === ENCODING
      ? `PostgreSQL 15 or newer is required; the server has version ${version}`
      : `a database with the encoding UTF8 is required; this database has ${encoding}`,
  );
}
