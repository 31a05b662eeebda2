import type { ClientBase, PoolConfig } from 'pg';
import { OperatorError } from '../errors.js';

/** PostgreSQL settings of a session, by name. */
export type SessionSettings = Readonly<Record<string, string>>;

/** Plan kinds that our statements need. Without index scans, a list would sort the whole table for each page. */
const PLANS = [
  'bitmapscan',
  'hashagg',
  'hashjoin',
  'incremental_sort',
  'indexonlyscan',
  'indexscan',
  'material',
  'memoize',
  'mergejoin',
  'nestloop',
  'partition_pruning',
  'seqscan',
  'sort',
];

/**
 * What our statements depend on, whatever the defaults of the server, the database or the role are.
 *
 * - An acknowledged write is on disk.
 * - Under `repeatable read`, checks for concurrent changes would miss the changes.
 * - JIT compiles a call whose estimated cost is high. On PostgreSQL 15 to 17, that was every append: 245 lines a second
 *   went in, and 2,600 without JIT.
 * - A plan for a statement's actual values: a plan for any value can't use an index for the start of a name.
 * - Times arrive as text in UTC.
 * - Null in an array is no text, and the name of a schema has no quotes: we compare such names.
 * - A trigram index gives all rows that it has.
 * - A rebuild or a migration may take any time, and a listener may be idle for any time. What must end sooner sets its
 *   own limit.
 * - An error doesn't end the session.
 */
const SETTINGS: SessionSettings = {
  synchronous_commit: 'on',
  default_transaction_isolation: 'read committed',
  jit: 'off',
  plan_cache_mode: 'auto',
  ...Object.fromEntries(PLANS.map((plan) => [`enable_${plan}`, 'on'])),
  TimeZone: 'UTC',
  DateStyle: 'ISO',
  search_path: 'public',
  array_nulls: 'on',
  quote_all_identifiers: 'off',
  gin_fuzzy_search_limit: '0',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  exit_on_error: 'off',
};

/**
 * Sets what only some versions have, after the connection is made: a server refuses a connection whose options name an
 * unknown setting. PostgreSQL 17 and newer can limit the time of a transaction.
 */
export const setNewerSettings = async (client: ClientBase): Promise<void> => {
  await client.query(
    `select set_config('transaction_timeout', '0', false)
     where current_setting('server_version_num')::integer >= 170000`,
  );
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
