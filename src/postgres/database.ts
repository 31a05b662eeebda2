import { createHash } from 'node:crypto';
import { isNativeError } from 'node:util/types';
import { Client, Pool, type PoolClient, type PoolConfig } from 'pg';

/** What a pool or one of its clients offers to a query. */
export interface Queryable {
  query: Pool['query'];
}

export const APPLICATION_NAME = 'colophon';

/**
 * Every statement of ours looks rows up by a key or walks an index. A planner without statistics, as it is for a minute
 * after an import, would rather hash whole tables: 28 ms instead of 0.3 for the books of 64 authors.
 */
const KEYED_LOOKUPS = ['enable_hashjoin=off', 'enable_mergejoin=off', 'max_parallel_workers_per_gather=0'];

/**
 * A pool for the read side and for reads of the log. Connections state their isolation level, since a server's or
 * role's default may be another, and under `repeatable read` a check for concurrent changes would miss them.
 */
export function createPool(
  connectionString: string,
  config: PoolConfig & { searchPath?: string } = {},
): Pool {
  const { searchPath = 'public', ...rest } = config;
  const pool = new Pool({
    connectionString,
    max: 10,
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
    keepAlive: true,
    application_name: APPLICATION_NAME,
    options: ['default_transaction_isolation=read\\ committed', `search_path=${searchPath}`, ...KEYED_LOOKUPS]
      .map((setting) => `-c ${setting}`)
      .join(' '),
    ...rest,
  });
  // An idle connection that the server ends is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => undefined);
  return pool;
}

/** A connection of its own, for work that is long or has a session's state. Times are in UTC. */
export async function connect(connectionString: string, name = APPLICATION_NAME): Promise<Client> {
  const client = new Client({
    connectionString,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    application_name: name,
    options: '-c default_transaction_isolation=read\\ committed -c TimeZone=UTC -c DateStyle=ISO',
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Runs `work` in one transaction; any error rolls it back and is thrown on. */
export async function transaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // The pool listens only to those it holds: a connection lost between two statements would end the process.
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
 * A statement the server parses once per connection. Its name is a digest of its text: the server cuts names after 63
 * bytes, so two long ones could be taken for the same. Only for texts of which there are few.
 */
export function prepared(text: string, values: unknown[]) {
  let name = names.get(text);
  if (!name) {
    name = createHash('sha256').update(text).digest('base64url');
    names.set(text, name);
  }
  return { name, text, values };
}

// Classes 08 (connection), 53 (resources), 57P (shutdown, crash, not yet accepting), and 25006: a primary that became
// a standby. 3D000 and 28xxx can be a server restored or reconfigured under us.
const UNAVAILABLE_STATES = /^(08|53|57P|25006|3D000|28)/;
const UNAVAILABLE_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOENT',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);
const UNAVAILABLE_MESSAGES =
  /Connection terminated|timeout exceeded when trying to connect|Query read timeout|not queryable|connection error|Cannot use a pool after calling end/i;

/** True where the server couldn't be reached or went away, so that trying again later can help. */
export function isUnavailable(error: unknown): boolean {
  // Not `instanceof`: an error of Node's own has another `Error` where a test runner has made a realm of its own.
  if (!isNativeError(error)) return false;
  if ('errors' in error && Array.isArray(error.errors)) return error.errors.some(isUnavailable);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return (
    UNAVAILABLE_CODES.has(code) || UNAVAILABLE_STATES.test(code) || UNAVAILABLE_MESSAGES.test(error.message)
  );
}
