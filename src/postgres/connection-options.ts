import type { PoolConfig } from 'pg';
import { OperatorError } from '../errors.js';

/** PostgreSQL settings of a session, by name. */
export type SessionSettings = Readonly<Record<string, string>>;

/**
 * What our statements depend on, whatever the defaults of the server, the database or the role are.
 *
 * - An acknowledged write is on disk.
 * - Under `repeatable read`, checks for concurrent changes would miss the changes.
 * - JIT compiles a call whose estimated cost is high. On PostgreSQL 15 to 17, that was every append: 245 lines a second
 *   went in, and 2,600 without JIT.
 * - Times arrive as text in UTC.
 * - A rebuild or a migration may take any time. What must end sooner sets its own limit.
 */
const SETTINGS: SessionSettings = {
  synchronous_commit: 'on',
  default_transaction_isolation: 'read committed',
  jit: 'off',
  TimeZone: 'UTC',
  DateStyle: 'ISO',
  search_path: 'public',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
};

/** Parameters of a URL that pg would use instead of ours, or that the server would apply after ours. */
const OURS = [
  'options',
  'application_name',
  'client_encoding',
  'replication',
  'query_timeout',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
];

export type ConnectionConfig = Omit<PoolConfig, 'connectionString' | 'options'> & {
  /** Settings of this connection, in addition to those of every connection, or instead of them. */
  readonly settings?: SessionSettings;
};

/**
 * The configuration of a connection or a pool. Every connection of ours is opened with it. `?options=` in the URL is
 * kept, and stands before our settings: the server takes the last value of a setting.
 * @throws OperatorError if the text isn't a URL.
 */
export function connectionOptions(
  connectionString: string,
  { settings, ...config }: ConnectionConfig = {},
): PoolConfig {
  // The text isn't shown: a URL that can't be read may have a password anywhere.
  if (!URL.canParse(connectionString)) throw new OperatorError('the URL of the database is not well-formed');
  const url = new URL(connectionString);
  const given = url.searchParams.getAll('options');
  for (const name of OURS) url.searchParams.delete(name);
  const ours = Object.entries({ ...SETTINGS, ...settings }).map(
    ([name, value]) => `-c ${name}=${value.replace(/[\\ ]/g, '\\$&')}`,
  );
  return {
    ...config,
    connectionString: url.href,
    options: [...given, ...ours].join(' '),
  };
}
