import { setTimeout } from 'node:timers/promises';
import type { Pool } from 'pg';
import { readCheckpoint, TablesOfAnotherLog } from '../projections/checkpoint.js';
import { catalogue } from '../projections/catalogue/catalogue.projection.js';
import { LinkedBooksInTables } from '../projections/catalogue/linked-books.js';
import { changes } from '../projections/changes/changes.projection.js';
import { FindStreams } from '../projections/changes/find-streams.js';
import { Maintenance } from '../projections/maintenance.js';
import type { Projection } from '../projections/projection.js';
import { Projector } from '../projections/projector.js';
import { IdempotencyKeys, MIGRATIONS } from './commands/idempotency-keys.js';
import type { Config } from './config.js';
import { OperatorError } from './errors.js';
import type { EventStore } from './event-store/event-store.js';
import { EventStoreDbEventStore } from './event-store/eventstoredb/eventstoredb-event-store.js';
import { PositionTokens } from './event-store/position-token.js';
import { PostgresEventStore } from './event-store/postgres/postgres-event-store.js';
import { Policies } from './policies/policies.js';
import { PolicyProgress } from './policies/policy-progress.js';
import { PolicyTables } from './policies/policy-tables.js';
import { OperatorActs } from './operations/operator-acts.js';
import { createPool } from './postgres/database.js';
import { EmbeddedServer } from './postgres/embedded/embedded-server.js';
import { checkServer, migrate } from './postgres/migrate.js';
import { POOLS } from './postgres/pools.js';
import { refusalOf } from './postgres/refusal.js';
import { READER } from './postgres/roles.js';
import { hidePassword } from './secrets.js';

/** Databases, log and tables without a projector, for the operator's commands. */
export interface Tables {
  readonly databaseUrl: string;
  /** For SQL clients, as it may be shown. */
  readonly readerUrl: string;
  readonly store: EventStore;
  readonly tokens: PositionTokens;
  /** For the state of the tables, and for operators. The search path is the schema of the tables, as in other pools. */
  readonly pool: Pool;
  /** One for each projection. */
  readonly maintenance: readonly Maintenance[];
  /** What policies know and do, for operators. */
  readonly policyTables: PolicyTables;
  readonly close: () => Promise<void>;
}

/** Everything that outlives requests. Opened in order, closed in reverse order. */
export interface Resources extends Tables {
  readonly config: Config;
  /** The projector of the catalogue, which commands and queries depend on. */
  readonly projector: Projector;
  /** The projector of the changes, which only audit answers depend on. */
  readonly changesProjector: Projector;
  readonly policies: Policies;
  readonly policyProgress: PolicyProgress;
  readonly streams: FindStreams;
  readonly linkedBooks: LinkedBooksInTables;
  readonly keys: IdempotencyKeys;
  /** For single authors and books. */
  readonly reads: Pool;
  /** For lists. */
  readonly lists: Pool;
  /** For filtered feeds. */
  readonly searches: Pool;
}

/** All categories of streams that the log may have. */
const CATEGORIES = changes.categories;

interface Placed {
  readonly projection: Projection;
  readonly schema: string;
}

/** The projections, each with the schema of its tables. Services with tables of their own share no tables. */
function projectionsOf({ catalogueSchema }: Config): { catalogue: Placed; changes: Placed } {
  return {
    catalogue: { projection: catalogue, schema: catalogueSchema },
    changes: { projection: changes, schema: `${catalogueSchema}_${changes.name}` },
  };
}

/** The schema of what policies know and do. */
const policiesSchema = ({ catalogueSchema }: Config): string => `${catalogueSchema}_policies`;

/** Longest wait for one part to close: the other side may have frozen. */
const CLOSE_MS = 10_000;

interface Database {
  /** For all that the service does. */
  readonly url: string;
  /** For changes of the log's schema. */
  readonly ownerUrl: string;
  /** For SQL clients; undefined for a configured database. */
  readonly readerUrl?: string;
  readonly close: () => Promise<void>;
}

/** The configured database. Without one, starts the embedded server. */
export async function openDatabase(
  { databaseUrl: url, dataDir }: Config,
  signal?: AbortSignal,
): Promise<Database> {
  if (url !== undefined) return { url, ownerUrl: url, close: async () => undefined };
  const embedded = await EmbeddedServer.start(dataDir, signal);
  const { url: own, ownerUrl, readerUrl } = embedded;
  return { url: own, ownerUrl, readerUrl, close: () => embedded.stop() };
}

/** A configured URL as it may be shown to SQL clients: by their own login, if the server has one, and without password. */
function shownUrl(databaseUrl: string, hasReader: boolean): string {
  const url = new URL(databaseUrl);
  if (hasReader) {
    [url.username, url.password] = [READER, '***'];
    for (const name of ['user', 'password']) url.searchParams.delete(name);
  }
  return hidePassword(url.href);
}

/**
 * Opens the event store at a URL. The only place that picks an adapter.
 * @param url `esdb://…`, or a PostgreSQL URL. The PostgreSQL database is migrated.
 * @param prefix of stream names in EventStoreDB.
 * @param ownerUrl the same database, by a login that may change the log's schema.
 * @throws OperatorError if the store can't be reached.
 */
export async function openStore(
  url: string,
  prefix: string,
  signal?: AbortSignal,
  ownerUrl = url,
): Promise<EventStore> {
  if (!url.startsWith('esdb')) {
    await migrate(ownerUrl, signal);
    return new PostgresEventStore(url);
  }
  checkCredentials(url);
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
    throw new OperatorError(`can't use EventStoreDB at ${hidePassword(url)}: ${message}`);
  }
}

/**
 * The client takes a user or password that isn't percent-encoded for something else: it signs in with a part of the
 * password, or looks for a host whose name is a part of the password, and says so.
 */
function checkCredentials(url: string): void {
  const given = /^[^:]*:\/\/(.*)@/s.exec(url)?.[1];
  if (given === undefined || /^([^\s:@"%]|%[\da-f]{2})+(:([^\s:@"%]|%[\da-f]{2})+)?$/i.test(given)) return;
  throw new OperatorError(
    `can't use EventStoreDB at ${hidePassword(url)}: blanks and : @ " % in user and password must be percent-encoded`,
  );
}

/**
 * Opens the resources that the configuration names.
 * @param signal gives up, and closes what is open.
 * @throws OperatorError for errors that the operator can fix.
 */
export async function openTables(config: Config, signal?: AbortSignal): Promise<Tables> {
  const opened: (() => Promise<unknown>)[] = [];
  const close = () => closeAll(opened);
  try {
    const database = await openDatabase(config, signal);
    const { url: databaseUrl, ownerUrl } = database;
    opened.push(database.close);
    signal?.throwIfAborted();
    const { hasReader } = await checkServer(databaseUrl);
    const readerUrl = database.readerUrl ?? shownUrl(databaseUrl, hasReader);
    signal?.throwIfAborted();
    const store = await openStore(
      config.eventStoreDbUrl ?? databaseUrl,
      config.eventStoreDbPrefix,
      signal,
      ownerUrl,
    );
    opened.push(() => inTime('the event store', store.close()));
    const log = await store.logId();
    signal?.throwIfAborted();
    const schema = config.catalogueSchema;
    const pool = createPool(databaseUrl, { ...POOLS.operations, searchPath: `${schema},public` });
    opened.push(() => inTime('the connections to PostgreSQL', pool.end()));
    const acts = new OperatorActs(store, log, pool);
    const maintenance = Object.values(projectionsOf(config)).map((placed) => {
      const target = { ...placed, log };
      return new Maintenance({ target, store, pool, connectionString: databaseUrl }, acts);
    });
    const endWork = () => Promise.all(maintenance.map((one) => one.close()));
    opened.push(() => inTime('the work on the tables', endWork()));
    const policyTables = new PolicyTables(pool, policiesSchema(config));
    const tokens = new PositionTokens(log);
    return { databaseUrl, readerUrl, store, tokens, pool, maintenance, policyTables, close };
  } catch (error) {
    await close().catch(() => undefined);
    signal?.throwIfAborted();
    throw error;
  }
}

/**
 * Opens the resources that the configuration names, and starts the projector.
 * @param signal gives up, and closes what is open.
 * @throws OperatorError for errors that the operator can fix.
 */
export async function openResources(config: Config, signal?: AbortSignal): Promise<Resources> {
  const tables = await openTables(config, signal);
  const { databaseUrl, store, pool, policyTables } = tables;
  const projections = projectionsOf(config);
  const projectorOf = ({ projection, schema }: Placed) =>
    new Projector(projection, store, pool, { connectionString: databaseUrl, schema });
  const projector = projectorOf(projections.catalogue);
  const changesProjector = projectorOf(projections.changes);
  const projectors = [projector, changesProjector];
  const lookups = createPool(databaseUrl, POOLS.policies);
  const streams = new FindStreams(lookups, changesProjector);
  const linkedBooks = new LinkedBooksInTables(lookups, projector);
  /** Whether the operator left the tables on this log, or rebuilt them from this log. */
  const isAccepted = async () => {
    const found = await readCheckpoint(pool, projector.schema, catalogue);
    const { log, position, eventId } = found ?? {};
    if (log !== (await store.logId())) return false;
    return position === undefined || eventId === undefined || store.holds(position, eventId);
  };
  const policies = new Policies({ store, streams, books: linkedBooks, isAccepted }, policyTables, {
    connectionString: databaseUrl,
  });
  const searchPath = `${config.catalogueSchema},public`;
  const reads = createPool(databaseUrl, { ...POOLS.reads, searchPath });
  const lists = createPool(databaseUrl, { ...POOLS.lists, searchPath });
  const searches = createPool(databaseUrl, POOLS.searches);
  const keysPool = createPool(databaseUrl, POOLS.keys);
  const endPools = () => Promise.all([reads, lists, searches, lookups, keysPool].map((one) => one.end()));
  const close = () =>
    closeAll([
      tables.close,
      () => inTime('the connections to PostgreSQL', endPools()),
      () => inTime('the projectors', Promise.all(projectors.map((one) => one.close()))),
      () => inTime('the policies', policies.close()),
    ]);
  try {
    signal?.throwIfAborted();
    await migrate(databaseUrl, signal, MIGRATIONS);
    for (const one of projectors) await one.start();
    signal?.throwIfAborted();
    await policies.start();
    signal?.throwIfAborted();
    const keys = new IdempotencyKeys(keysPool);
    const policyProgress = new PolicyProgress(policyTables, await store.logId());
    const running = { projector, changesProjector, policies, policyProgress, streams, linkedBooks };
    return { ...tables, ...running, config, keys, reads, lists, searches, close };
  } catch (error) {
    await close().catch(() => undefined);
    signal?.throwIfAborted();
    if (!(error instanceof TablesOfAnotherLog)) throw refusalOf(error) ?? error;
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

/** @throws OperatorError if the part takes longer than {@link CLOSE_MS} to close. */
export async function inTime(part: string, closing: Promise<unknown>): Promise<void> {
  const waiting = new AbortController();
  const late = setTimeout(CLOSE_MS, undefined, { signal: waiting.signal, ref: false }).then(() => {
    throw new OperatorError(`${part} did not close within ${CLOSE_MS / 1_000} s`);
  });
  late.catch(() => undefined);
  try {
    await Promise.race([closing, late]);
  } finally {
    waiting.abort();
  }
}
