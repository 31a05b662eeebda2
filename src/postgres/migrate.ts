import { join } from 'node:path';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import { OperatorError } from '../errors.js';

const OLDEST_SERVER = 150_000;

/**
 * Checks that the server can be reached and is new enough.
 * @throws OperatorError if the server can't be used.
 */
export async function checkServer(connectionString: string): Promise<void> {
  const client = await connect(connectionString);
  await client.end().catch(() => undefined);
}

/** Migrations of one schema. Each feature with tables of its own has a set. */
export interface Migrations {
  readonly schema: string;
  /** Folder of the SQL files. */
  readonly dir: string;
}

const EVENT_STORE: Migrations = { schema: 'event_store', dir: join(import.meta.dirname, 'migrations') };

/**
 * Brings a schema up to date, by default the event store's. Processes that start at the same time wait for one lock.
 * @throws OperatorError like {@link checkServer}.
 */
export async function migrate(connectionString: string, { schema, dir } = EVENT_STORE): Promise<void> {
  const client = await connect(connectionString);
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
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    throw new OperatorError(
      `can't connect to PostgreSQL at ${withoutPassword(connectionString)}: ${reason(error)}`,
    );
  }
  const { rows } = await client.query<{ version: string }>(
    `select current_setting('server_version_num') as version`,
  );
  if (Number(rows[0]?.version) >= OLDEST_SERVER) return client;
  await client.end();
  throw new OperatorError(`PostgreSQL 15 or newer is required; the server has version ${rows[0]?.version}`);
}

export function withoutPassword(connectionString: string): string {
  const url = new URL(connectionString);
  if (url.password) url.password = '***';
  return url.href;
}

function reason(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reason).join('; ');
  return error instanceof Error ? error.message : String(error);
}
