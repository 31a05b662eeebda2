import type { Pool, QueryConfig } from 'pg';
import { transaction } from '../../src/postgres/database.js';
import { readCheckpoint, type Target } from '../checkpoint.js';
import { isLockTimeout } from './lock-timeout.js';
import { ownTables } from './tables.js';

/** Longer than PostgreSQL needs to cancel an autovacuum. No reader waits behind these locks. */
const PATIENCE = '3s';
/** A generous limit, because the check of foreign keys reads all rows of large tables. */
const LONG_MS = 3_600_000;

/**
 * Declares the foreign keys of the live tables, if missing. A swap drops the foreign keys, because the swap would have
 * to read the tables to check the keys. Only the projector waits for this, readers don't.
 * @returns false if another session held a lock for too long. The caller should try again.
 */
export async function declareReferences(pool: Pool, { projection, schema }: Target): Promise<boolean> {
  try {
    return await transaction(pool, async (client) => {
      const { rows: locks } = await client.query<{ locked: boolean }>(
        `select pg_try_advisory_xact_lock(hashtextextended('colophon tables ' || $1, 0)) as locked`,
        [schema],
      );
      if (!locks[0]?.locked) return false;
      const current = await readCheckpoint(client, schema, projection);
      const { rows } = await client.query(
        `select from pg_constraint join pg_class c on c.oid = conrelid
         where contype = 'f' and relnamespace = $1::regnamespace and relname = any($2) and conparentid = 0`,
        [schema, ownTables(projection)],
      );
      if (rows.length > 0 || current?.version !== projection.version) return true;
      await client.query(`set local lock_timeout = '${PATIENCE}'`);
      await client.query(`set local enable_hashjoin = on; set local enable_mergejoin = on`);
      await client.query(`set local search_path to ${schema}, public`);
      const declaration = { text: projection.references(), query_timeout: LONG_MS };
      await client.query(declaration as QueryConfig);
      return true;
    });
  } catch (error) {
    if (isLockTimeout(error)) return false;
    throw error;
  }
}
