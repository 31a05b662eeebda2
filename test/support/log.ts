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
