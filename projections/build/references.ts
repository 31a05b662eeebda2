import type { Pool, QueryConfig } from 'pg';
import { transaction } from '../../src/postgres/database.js';
import { readCheckpoint, type Target } from '../checkpoint.js';
import { isLockTimeout } from './lock-timeout.js';
import { ownTables } from './tables.js';

/** Longer than PostgreSQL takes to send a vacuum of its own away, for locks that no reader waits behind. */
const PATIENCE = '3s';
/** The rows of large tables are read. */
const LONG_MS = 3_600_000;

/**
 * Declares the foreign keys of what is published, where they aren't: an exchange of partitions takes them away, since it
 * would have to read the tables to prove them. Readers don't wait for this, only the projector does.
 * @returns false where somebody held a table for too long, so that it is to be tried again.
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
