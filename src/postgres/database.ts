import { createHash } from 'node:crypto';
import { isNativeError } from 'node:util/types';
import { Client, Pool, type PoolClient } from 'pg';
import { connectionOptions, type ConnectionConfig } from './connection-options.js';

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

/** A pool for the read side and for reads of the log. */
export function createPool(
  connectionString: string,
  { searchPath = 'public', settings, ...config }: ConnectionConfig & { searchPath?: string } = {},
): Pool {
  const pool = new Pool(
    connectionOptions(connectionString, {
      max: 10,
      connectionTimeoutMillis: 5_000,
      query_timeout: 10_000,
      keepAlive: true,
      application_name: APPLICATION_NAME,
      settings: { search_path: searchPath, ...KEYED_LOOKUPS, ...settings },
      ...config,
    }),
  );
  // The pool replaces an idle connection that the server ended. Without this listener the error would end the process.
  pool.on('error', () => undefined);
  return pool;
}

/** Opens a separate connection, for long work or work with session state. */
export async function connect(connectionString: string, name = APPLICATION_NAME): Promise<Client> {
  const client = new Client(
    connectionOptions(connectionString, {
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      application_name: name,
    }),
  );
  client.on('error', () => undefined);
  await client.connect();
  return client;
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

// Classes 08 (connection), 53 (resources), 57P (shutdown, crash, not yet accepting), and 25006 (a primary that became
// a standby). 3D000 and 28xxx can mean that the server was restored or reconfigured while we run.
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

/** Whether the server can't be reached or went away, so that a later attempt may succeed. */
export function isUnavailable(error: unknown): boolean {
  // Not `instanceof`: in a test runner with a separate realm, Node's own errors have another `Error` class.
  if (!isNativeError(error)) return false;
  if ('errors' in error && Array.isArray(error.errors)) return error.errors.some(isUnavailable);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return (
    UNAVAILABLE_CODES.has(code) || UNAVAILABLE_STATES.test(code) || UNAVAILABLE_MESSAGES.test(error.message)
  );
}
