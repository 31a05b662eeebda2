import type { ConnectionConfig } from './connection-options.js';

/**
 * Lists never read a whole table. A page of memory costs the same wherever it is: otherwise the planner would rather
 * sort what stands behind a cursor than read it in order.
 */
const BY_INDEX = { enable_seqscan: 'off', random_page_cost: '1' };

/** The limits of one kind of work: how many connections, how many callers that wait for one, how long a statement. */
export interface PoolLimits extends ConnectionConfig {
  /** The kind of work, for metrics. */
  readonly name?: string;
  readonly max: number;
  /** Callers that may wait for a connection. The next one gets `PoolCrowded`. */
  readonly waiting?: number;
  readonly statement_timeout?: number;
  /** While callers wait, a connection rests at least so long after a statement for a caller, in milliseconds. */
  readonly rest?: number;
}

/**
 * Each kind of work has connections of its own, so that no kind can take another kind's. A page of the documentation
 * lists them. Two expensive statements at a time use two processors, and leave the others to commands and single reads.
 */
export const POOLS = {
  /** Streams that commands read before they decide. Keys are gathered, so some connections serve any number. */
  commands: { name: 'commands', max: 3, waiting: 1_000, statement_timeout: 5_000 },
  /** Claims of idempotency keys. */
  keys: { name: 'keys', max: 2, waiting: 1_000, statement_timeout: 5_000 },
  /** What the projection and operators read from the log. */
  followers: { name: 'followers', max: 2, statement_timeout: 9_000 },
  /**
   * What callers read from the log: the feed, the history of a stream. What costs is less the server than our own
   * process, which turns events into JSON; the rests leave half of it to others. Callers wait longer than elsewhere: in
   * the middle of a stream, a page that doesn't come breaks the connection.
   */
  feeds: {
    name: 'feeds',
    max: 2,
    waiting: 256,
    connectionTimeoutMillis: 15_000,
    statement_timeout: 5_000,
    rest: 20,
  },
  /** Single authors and books. */
  reads: { name: 'reads', max: 6, waiting: 1_000, statement_timeout: 5_000 },
  /** Lists. */
  lists: { name: 'lists', max: 3, waiting: 500, statement_timeout: 5_000, settings: BY_INDEX },
  /** What a filtered feed asks the tables of changes. A stream of lines asks again and again, as in a feed. */
  searches: {
    name: 'searches',
    max: 2,
    waiting: 256,
    statement_timeout: 5_000,
    rest: 20,
    settings: BY_INDEX,
  },
  /**
   * Where policies look for the streams of a change. A page of a large change is read in the order of the index. Otherwise the
   * planner sorts the whole change for each page.
   */
  policies: {
    name: 'policies',
    max: 2,
    statement_timeout: 9_000,
    settings: { ...BY_INDEX, enable_bitmapscan: 'off' },
  },
  /** Key and revocations of tokens, with access control. */
  access: { name: 'access', max: 1, statement_timeout: 5_000 },
  /** The state of the tables, and operators' work on them. */
  operations: { name: 'operations', max: 3 },
} satisfies Record<string, PoolLimits>;
