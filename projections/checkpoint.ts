import type { ClientBase, Pool } from 'pg';
import type { Position } from '../src/event-store/event-store.js';
import { transaction, type Queryable } from '../src/postgres/database.js';
import type { Projection } from './projector.js';

/** The tables are there already, and were made from another log. */
export class TablesOfAnotherLog extends Error {
  constructor(schema: string) {
    super(`the tables in schema ${schema} were made from another log`);
  }
}

/**
 * Creates the schema and its tables where they are missing, or were made by another version: the tables are disposable,
 * so those are dropped and filled again from the log.
 * @param log id of the log they are made from.
 * @param afresh also where they are as they should be.
 * @throws TablesOfAnotherLog rather than drop, or mix in, what belongs to another log; unless afresh.
 */
export async function ensureTables(
  pool: Pool,
  projection: Projection,
  schema: string,
  log: string,
  afresh = false,
): Promise<void> {
  await transaction(pool, async (client) => {
    await client.query(`select pg_advisory_xact_lock(hashtextextended('colophon tables ' || $1, 0))`, [
      schema,
    ]);
    await client.query('create extension if not exists pg_trgm with schema public');
    const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
      `${schema}.checkpoint`,
    ]);
    if (rows[0]?.there) {
      // Read as a whole: tables of an older version have fewer columns.
      const { rows: found } = await client.query<{ version: number; log_id?: string }>(
        `select * from ${schema}.checkpoint`,
      );
      const [current] = found;
      const another = current?.log_id !== undefined && current.log_id !== log;
      if (another && !afresh) throw new TablesOfAnotherLog(schema);
      if (current?.version === projection.version && !afresh) return;
      await client.query(`drop schema ${schema} cascade`);
    }
    await client.query(`create schema if not exists ${schema}`);
    await client.query(`set local search_path to ${schema}, public`);
    await client.query(projection.tables());
    await client.query('insert into checkpoint (projection, version, log_id) values ($1, $2, $3)', [
      projection.name,
      projection.version,
      log,
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
 * @returns false where it isn't at `from`: another process moved it, or made the tables from another log.
 */
export async function moveCheckpoint(
  client: ClientBase,
  schema: string,
  { name, version }: Projection,
  log: string,
  from: Position | undefined,
  to: Position,
): Promise<boolean> {
  const { rowCount } = await client.query({
    name: 'move-checkpoint',
    text: `update ${schema}.checkpoint set position = $1, updated_at = now()
           where projection = $2 and version = $3 and log_id = $4 and position is not distinct from $5`,
    values: [to.toString(), name, version, log, from?.toString() ?? null],
  });
  return rowCount === 1;
}
