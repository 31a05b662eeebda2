import { createHash } from 'node:crypto';
import { Client, Pool, type PoolClient, type PoolConfig, type QueryConfig, type QueryResultRow } from 'pg';
import { connectionOptions, setNewerSettings, type ConnectionConfig } from './connection-options.js';
import { PoolCrowded, sqlState } from './errors.js';
import type { PoolLimits } from './pools.js';

/** The query interface that a pool and its clients share. */
export interface Queryable {
  query: Pool['query'];
}

export const APPLICATION_NAME = 'colophon';

/**
 * All our statements look up rows by a key or walk an index. For a minute after an import the planner lacks statistics,
 * and would hash whole tables: 28 ms instead of 0.3 ms for the books of 64 authors.
 */
const KEYED_LOOKUPS = {
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  max_parallel_workers_per_gather: '0',
};

/** Longest wait for a connection, of the server or of the pool. */
const CONNECT_MS = 5_000;
/** The server ends a statement first. This limit is for a server that doesn't answer at all. */
const SILENCE_MS = 1_000;
/** Statements for callers that take longer are followed by a rest, while others wait. */
const SLOW_MS = 20;
const LONGEST_REST_MS = 1_000;

/** A pool whose waiting callers are limited in number; `connectionTimeoutMillis` limits their time. */
class BoundedPool extends Pool {
  constructor(
    config: PoolConfig,
    private readonly mostWaiting: number,
    private readonly restMs: number,
    readonly name: string,
  ) {
    super(config);
    OPEN.add(this);
  }

  /**
   * How long a connection should rest after a statement. A crowd of slow statements gets half of the time, so that the
   * processors have time for others. Nobody has to rest if nobody waits.
   */
  restAfter(tookMs: number): number {
    if (this.waitingCount === 0) return 0;
    return Math.max(this.restMs, tookMs > SLOW_MS ? Math.min(tookMs, LONGEST_REST_MS) : 0);
  }

  override connect(): Promise<PoolClient>;
  override connect(callback: Parameters<Pool['connect']>[0]): void;
  override connect(callback?: Parameters<Pool['connect']>[0]): Promise<PoolClient> | void {
    const full = this.waitingCount >= this.mostWaiting;
    if (callback)
      return full ? callback(new PoolCrowded(), undefined, () => undefined) : super.connect(callback);
    return full ? Promise.reject(new PoolCrowded()) : super.connect();
  }

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | void {
    OPEN.delete(this);
    return callback ? super.end(callback) : super.end();
  }
}

/** The pools of this process that have not been ended. */
const OPEN = new Set<BoundedPool>();

/** How many connections a pool has, how many of them work or rest, and how many callers wait for one. */
export interface PoolCounts {
  readonly name: string;
  readonly open: number;
  readonly inUse: number;
  readonly waiting: number;
}

/** The pools of this process, as they are now. */
export const openPools = (): PoolCounts[] =>
  [...OPEN].map(({ name, totalCount, idleCount, waitingCount }) => ({
    name,
    open: totalCount,
    inUse: totalCount - idleCount,
    waiting: waitingCount,
  }));

/** A pool for reads of the log and the read side. */
export function createPool(
  connectionString: string,
  config: Partial<PoolLimits> & { searchPath?: string } = {},
): Pool {
  const {
    name = 'other',
    searchPath = 'public',
    waiting = Infinity,
    rest = 0,
    settings,
    ...options
  } = config;
  const pool = new BoundedPool(
    connectionOptions(connectionString, {
      max: 10,
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout:
        options.statement_timeout === undefined ? 10_000 : options.statement_timeout + SILENCE_MS,
      keepAlive: true,
      application_name: APPLICATION_NAME,
      // eslint-disable-next-line @typescript-eslint/no-misused-promises -- The pool waits for the promise.
      onConnect: setNewerSettings,
      settings: { search_path: searchPath, ...KEYED_LOOKUPS, ...settings },
      ...options,
    }),
    waiting,
    rest,
    name,
  );
  // The pool replaces an idle connection that the server ended. Without this listener the error would end the process.
  pool.on('error', () => undefined);
  return pool;
}

/**
 * Runs one statement for a caller. If the caller leaves, the server stops the statement.
 * @param caller aborts when the caller leaves; undefined if somebody needs the result in any case.
 * @param sending is called before the server gets the statement.
 * @throws the reason of the signal after the caller left.
 */
export async function queryFor<Row extends object>(
  caller: AbortSignal | undefined,
  pool: Pool,
  query: QueryConfig,
  sending: () => void = ignore,
): Promise<Row[]> {
  if (!caller) {
    sending();
    return (await pool.query<QueryResultRow>(query)).rows as Row[];
  }
  caller.throwIfAborted();
  const client = await pool.connect();
  const stopping: Promise<void>[] = [];
  const stop = () => stopping.push(cancel(pool, client));
  const began = performance.now();
  let broken = false;
  // The statement gets the error too. Without this listener, a lost connection would end the process.
  client.on('error', ignore);
  try {
    caller.throwIfAborted();
    caller.addEventListener('abort', stop);
    sending();
    return (await client.query<QueryResultRow>(query)).rows as Row[];
  } catch (error) {
    caller.throwIfAborted();
    broken = LAST_WORDS.test(sqlState(error) ?? '08');
    throw error;
  } finally {
    caller.removeEventListener('abort', stop);
    await Promise.all(stopping);
    const release = () => {
      client.off('error', ignore);
      // A cancellation may arrive late. It must not meet the connection's next statement.
      client.release(broken || stopping.length > 0);
    };
    const rest = pool instanceof BoundedPool ? pool.restAfter(performance.now() - began) : 0;
    if (rest > 0) setTimeout(release, rest);
    else release();
  }
}

/** Errors after which the server ends the session. The end arrives a moment later, and must not meet the next statement. */
const LAST_WORDS = /^(08|57P|25P0[34])/;

const ignore = () => undefined;

/** Asks the server, over another connection, to stop what the client's session is doing. */
async function cancel(pool: Pool, client: PoolClient): Promise<void> {
  const other = new Client(pool.options);
  other.on('error', ignore);
  try {
    await other.connect();
    await other.query('select pg_cancel_backend($1)', ['processID' in client ? client.processID : null]);
  } catch {
    // The time limit of the statement stops it.
  } finally {
    await other.end().catch(() => undefined);
  }
}

/** Opens a separate connection, for long work or work with session state. */
export async function connect(
  connectionString: string,
  name = APPLICATION_NAME,
  config: ConnectionConfig = {},
): Promise<Client> {
  const client = new Client(
    connectionOptions(connectionString, {
      ...config,
      connectionTimeoutMillis: CONNECT_MS,
      keepAlive: true,
      application_name: name,
    }),
  );
  client.on('error', () => undefined);
  await client.connect();
  try {
    await setNewerSettings(client);
  } catch (error) {
    await endOf(client);
    throw error;
  }
  return client;
}

/** Longest wait for the server's part of a farewell. */
const FAREWELL_MS = 2_000;

/** Ends a connection, also if the server or the network is silent. */
export async function endOf(client: Client): Promise<void> {
  const late = setTimeout(() => client.connection.stream.destroy(), FAREWELL_MS);
  await client.end().catch(() => undefined);
  clearTimeout(late);
}

/** Runs `work` in one transaction. Any error rolls the transaction back and is rethrown. */
export async function transaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // The pool listens only to idle clients. Without this listener, a connection lost between two statements would end
  // the process.
  const lost = (error: Error) => (broken = error);
  client.on('error', lost);
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((cause: Error) => (broken = cause));
    throw error;
  } finally {
    client.off('error', lost);
    client.release(broken);
  }
}

const names = new Map<string, string>();

/**
 * A statement that the server parses once per connection. The statement's name is a digest of the text, because the
 * server cuts names after 63 bytes, and two long names could collide. Only for a small number of different texts.
 */
export function prepared(text: string, values: unknown[]) {
  let name = names.get(text);
  if (!name) {
    name = createHash('sha256').update(text).digest('base64url');
    names.set(text, name);
  }
  return { name, text, values };
}
