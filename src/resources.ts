import type { Pool } from 'pg';
import { TablesOfAnotherLog } from '../projections/checkpoint.js';
import { catalogue } from '../projections/catalogue/catalogue.projection.js';
import { Maintenance } from '../projections/maintenance.js';
import { Projector } from '../projections/projector.js';
import { IdempotencyKeys, MIGRATIONS } from './commands/idempotency-keys.js';
import { AUTHOR } from './authors/author.events.js';
import { BOOK } from './books/book.events.js';
import type { Config } from './config.js';
import { OperatorError } from './errors.js';
import type { EventStore } from './event-store/event-store.js';
import { EventStoreDbEventStore } from './event-store/eventstoredb/eventstoredb-event-store.js';
import { PositionTokens } from './event-store/position-token.js';
import { PostgresEventStore } from './event-store/postgres/postgres-event-store.js';
import { createPool } from './postgres/database.js';
import { EmbeddedServer } from './postgres/embedded/embedded-server.js';
import { checkServer, migrate } from './postgres/migrate.js';

/** Databases, log and tables without a projector, for the operator's commands. */
export interface Tables {
  readonly databaseUrl: string;
  readonly store: EventStore;
  readonly tokens: PositionTokens;
  /** The search path is the schema of the tables. */
  readonly pool: Pool;
  readonly maintenance: Maintenance;
  readonly close: () => Promise<void>;
}

/** Everything that outlives requests. Opened in order, closed in reverse order. */
export interface Resources extends Tables {
  readonly config: Config;
  readonly projector: Projector;
  readonly keys: IdempotencyKeys;
}

/** All categories of streams that the log may have. */
const CATEGORIES = [AUTHOR, BOOK];

/** The configured database. Without one, starts the embedded server. */
export async function openDatabase(config: Config): Promise<{ url: string; close: () => Promise<void> }> {
  if (config.databaseUrl !== undefined) return { url: config.databaseUrl, close: async () => undefined };
  const embedded = await EmbeddedServer.start(config.dataDir);
  return { url: embedded.url, close: () => embedded.stop() };
}

/**
 * Opens the event store at a URL. The only place that picks an adapter.
 * @param url `esdb://…`, or a PostgreSQL URL. The PostgreSQL database is migrated.
 * @param prefix of stream names in EventStoreDB.
 * @throws OperatorError if the store can't be reached.
 */
export async function openStore(url: string, prefix: string): Promise<EventStore> {
  if (!url.startsWith('esdb')) {
    await migrate(url);
    return new PostgresEventStore(url);
  }
  const mistakable = CATEGORIES.find((category) => prefix.includes(`${category}-`));
  if (mistakable !== undefined)
    throw new OperatorError(
      `EVENTSTOREDB_PREFIX ${prefix} contains \`${mistakable}-\`: a log without prefix would take its streams for its own`,
    );
  let store: EventStore | undefined;
  try {
    store = new EventStoreDbEventStore(url, prefix, CATEGORIES);
    await store.logId();
    return store;
  } catch (error) {
    await store?.close();
    const { message } = ((error as Error).cause ?? error) as Error;
    throw new OperatorError(`can't use EventStoreDB at ${url.replace(/:[^:@/]*@/, ':***@')}: ${message}`);
  }
}

/**
 * Opens the resources that the configuration names.
 * @throws OperatorError for errors that the operator can fix.
 */
export async function openTables(config: Config): Promise<Tables> {
  const opened: (() => Promise<unknown>)[] = [];
  const close = () => closeAll(opened);
  try {
    const database = await openDatabase(config);
    opened.push(database.close);
    await checkServer(database.url);
    const store = await openStore(config.eventStoreDbUrl ?? database.url, config.eventStoreDbPrefix);
    opened.push(() => store.close());
    const log = await store.logId();
    const schema = config.catalogueSchema;
    const pool = createPool(database.url, { searchPath: `${schema},public` });
    opened.push(() => pool.end());
    const target = { projection: catalogue, schema, log };
    const maintenance = new Maintenance({ target, store, pool, connectionString: database.url });
    opened.push(() => maintenance.close());
    return { databaseUrl: database.url, store, tokens: new PositionTokens(log), pool, maintenance, close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/**
 * Opens the resources that the configuration names, and starts the projector.
 * @throws OperatorError for errors that the operator can fix.
 */
export async function openResources(config: Config): Promise<Resources> {
  const tables = await openTables(config);
  const { databaseUrl, store, pool } = tables;
  const projector = new Projector(catalogue, store, pool, {
    connectionString: databaseUrl,
    schema: config.catalogueSchema,
  });
  const keysPool = createPool(databaseUrl, { max: 4 });
  const close = () => closeAll([tables.close, () => keysPool.end(), () => projector.close()]);
  try {
    await migrate(databaseUrl, MIGRATIONS);
    await projector.start();
    return { ...tables, config, projector, keys: new IdempotencyKeys(keysPool), close };
  } catch (error) {
    await close().catch(() => undefined);
    if (!(error instanceof TablesOfAnotherLog)) throw error;
    throw new OperatorError(
      `${error.message}; rebuild them from this log with \`colophon rebuild\`, or set CATALOGUE_SCHEMA to another schema`,
    );
  }
}

/** Closes everything that was opened, in reverse order. An error of one part doesn't keep the others open. */
async function closeAll(opened: (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const close of opened.splice(0).reverse()) await close().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors[0];
}
