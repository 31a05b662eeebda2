import type { ClientBase, Pool } from 'pg';
import { transaction, type Queryable } from '../../src/postgres/database.js';
import { isLockTimeout } from './lock-timeout.js';
import { dropSchema, SchemaTaken } from './schemas.js';

// The tables that SQL clients know, such as `catalogue.authors`, are partitioned tables with one partition each. The
// partition holds the rows, in the home schema `catalogue_a` or `catalogue_b`. A rebuild fills the free home schema and
// swaps the partitions. Views, grants, publications and comments belong to the partitioned tables, and stay.

/** The two home schemas of the live tables in `schema`, used in turn. */
export const homesOf = (schema: string) => [`${schema}_a`, `${schema}_b`] as const;

/** Bounds how long the projector waits while the free home schema is cleared. */
const CLEAR_TIMEOUT = '1s';

/** The home schema that holds the rows now, and the free home schema, for the next build. */
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
 * Drops the tables in the free home schema, left by an interrupted rebuild or replaced by a finished one. For callers
 * that hold the rebuild lock.
 * @returns the free home schema.
 * @throws SchemaTaken if the schema isn't Colophon's, or a session reads the tables.
 */
export function dropFree(pool: Pool, schema: string): Promise<string> {
  return transaction(pool, (client) => dropFreeIn(client, schema));
}

/**
 * Like {@link dropFree}, for callers that don't hold the rebuild lock. Takes the lock for the duration.
 * @param lock the lock's key.
 * @returns false, without dropping anything, if another session holds the lock.
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
  // A swap with a lost connection may be committing right now. Wait for the commit before asking which home is free.
  await client.query(`lock table ${schema}.checkpoint in share mode`);
  const { free } = await homeOf(client, schema);
  await dropSchema(client, free).catch((error: unknown) => {
    throw isLockTimeout(error)
      ? new SchemaTaken(`a session is reading from ${free}, which must be cleared first`)
      : error;
  });
  return free;
}
