import type { EventStore } from '../../src/event-store/event-store.js';
import { EventStoreDbEventStore } from '../../src/event-store/eventstoredb/eventstoredb-event-store.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { eventStoreDbUrl, newPrefix } from './eventstoredb.js';

/** Where the suites of a file keep their events: in PostgreSQL, unless the file says otherwise before they begin. */
let store: 'postgres' | 'eventstoredb' = 'postgres';
export const useEventStoreDb = (): void => void (store = 'eventstoredb');

/** A log of a service's own. */
export interface TestLog {
  /** What the service must be told. */
  readonly env: Record<string, string>;
  readonly drop: () => Promise<void>;
}

export async function createLog(): Promise<TestLog> {
  if (store === 'postgres') return { env: {}, drop: async () => undefined };
  const url = eventStoreDbUrl();
  const { prefix, drop } = await newPrefix(url);
  return { env: { EVENTSTOREDB_URL: url, EVENTSTOREDB_PREFIX: prefix }, drop };
}

/** The log of a service, to write into what no command would. */
export function openLog({
  DATABASE_URL = '',
  EVENTSTOREDB_URL,
  EVENTSTOREDB_PREFIX,
}: Record<string, string>): EventStore {
  return EVENTSTOREDB_URL === undefined
    ? new PostgresEventStore(DATABASE_URL)
    : new EventStoreDbEventStore(EVENTSTOREDB_URL, EVENTSTOREDB_PREFIX);
}
