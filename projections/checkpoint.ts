import type { ClientBase, Pool } from 'pg';
import type { Position } from '../src/event-store/event-store.js';
import { transaction, type Queryable } from '../src/postgres/database.js';
import type { Projection } from './projector.js';

/**
 * Creates the schema and its tables where they are missing, or were made by another version: the tables are disposable,
 * so those are dropped and filled again from the log.
 */
export async function ensureTables(pool: Pool, projection: Projection, schema: string): Promise<void> {
  await transaction(pool, async (client) => {
    await client.query(`select pg_advisory_xact_lock(hashtextextended('colophon tables ' || $1, 0))`, [
      schema,
    ]);
    await client.query('create extension if not exists pg_trgm with schema public');
    const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
      `${schema}.checkpoint`,
    ]);
    if (rows[0]?.there) {
      const { rows: current } = await client.query(`select from ${schema}.checkpoint where version = $1`, [
        projection.version,
      ]);
      if (current.length > 0) return;
      await client.query(`drop schema ${schema} cascade`);
    }
    await client.query(`create schema if not exists ${schema}`);
    await client.query(`set local search_path to ${schema}, public`);
    await client.query(projection.tables());
    await client.query('insert into checkpoint (projection, version) values ($1, $2)', [
      projection.name,
      projection.version,
    ]);
  });
}

/** The position of the last event in the tables, undefined before the first. */
export async function readCheckpoint(
  db: Queryable | ClientBase,
  schema: string,
  { name }: Projection,
): Promise<Position | undefined> {
  const { rows } = await db.query<{ position: string | null }>(
    `select position from ${schema}.checkpoint where projection = $1`,
    [name],
  );
  return rows[0]?.position == null ? undefined : BigInt(rows[0].position);
}

/**
 * Moves the checkpoint in the caller's transaction, which then holds its row.
 * @returns false where it isn't at `from`: another process moved it.
 */
export async function moveCheckpoint(
  client: ClientBase,
  schema: string,
  { name, version }: Projection,
  from: Position | undefined,
  to: Position,
): Promise<boolean> {
  const { rowCount } = await client.query({
    name: 'move-checkpoint',
    text: `update ${schema}.checkpoint set position = $1, updated_at = now()
           where projection = $2 and version = $3 and position is not distinct from $4`,
    values: [to.toString(), name, version, from?.toString() ?? null],
  });
  return rowCount === 1;
}
