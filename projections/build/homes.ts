import type { ClientBase, Pool } from 'pg';
import { transaction, type Queryable } from '../../src/postgres/database.js';
import { isLockTimeout } from './lock-timeout.js';
import { dropSchema, SchemaTaken } from './schemas.js';

// The tables that SQL clients know, `catalogue.authors`, are partitioned tables of a single partition each. What they hold
// is in the partition, in a schema of its own, `catalogue_a` or `catalogue_b`. A rebuild fills the schema that is free,
// and exchanges the partitions: views, grants, publications and comments belong to the tables, and stay.

/** The schemas that what is published in `schema` is kept in, by turns. */
export const homesOf = (schema: string) => [`${schema}_a`, `${schema}_b`] as const;

/** The projector waits while what is free is cleared. */
const CLEAR_TIMEOUT = '1s';

/** Where the rows are now, and where the next tables can be built. */
export async function homeOf(
  db: Queryable | ClientBase,
  schema: string,
): Promise<{ home: string | undefined; free: string }> {
  const { rows } = await db.query<{ home: string }>(
    `select c.relnamespace::regnamespace::text as home from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = to_regclass($1)`,
    [`${schema}.checkpoint`],
  );
  const home = rows[0]?.home;
  const [a, b] = homesOf(schema);
  return { home, free: home === a ? b : a };
}

/**
 * Drops what stands where the next tables can be built: left over from a rebuild, or replaced by it. For who holds the
 * rebuild's lock.
 * @returns the schema that is free.
 * @throws SchemaTaken where it is somebody else's, or somebody reads in it.
 */
export function dropFree(pool: Pool, schema: string): Promise<string> {
  return transaction(pool, (client) => dropFreeIn(client, schema));
}

/**
 * The same for who doesn't hold the lock: it is held meanwhile.
 * @param lock its key.
 * @returns false, and nothing is dropped, where somebody holds it.
 * @throws SchemaTaken
 */
export function dropFreeUnder(pool: Pool, schema: string, lock: string): Promise<boolean> {
  return transaction(pool, async (client) => {
    const { rows } = await client.query<{ locked: boolean }>(
      'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as locked',
      [lock],
    );
    if (!rows[0]?.locked) return false;
    await dropFreeIn(client, schema);
    return true;
  });
}

async function dropFreeIn(client: ClientBase, schema: string): Promise<string> {
  await client.query(`set local client_min_messages = warning; set local lock_timeout = '${CLEAR_TIMEOUT}'`);
  // An exchange whose connection was lost may be at its end just now: it is waited for, before it is asked which it is.
  await client.query(`lock table ${schema}.checkpoint in share mode`);
  const { free } = await homeOf(client, schema);
  await dropSchema(client, free).catch((error: unknown) => {
    throw isLockTimeout(error)
      ? new SchemaTaken(`somebody is reading in ${free}, which is to be cleared`)
      : error;
  });
  return free;
}
