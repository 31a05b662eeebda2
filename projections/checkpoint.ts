import type { ClientBase } from 'pg';
import type { Position } from '../src/event-store/event-store.js';
import { LeadLost } from '../src/followers/follower.js';
import type { Queryable } from '../src/postgres/database.js';
import type { Projection } from './projection.js';

/** Which tables: a projection's, in a schema, made from a log. */
export interface Target {
  readonly projection: Projection;
  readonly schema: string;
  /** Id of the log. */
  readonly log: string;
}

/** How far the tables of a schema are, by what they say themselves. */
export interface Checkpoint {
  readonly version: number;
  readonly log: string;
  /** Of the last event in the tables, undefined before the first. */
  readonly position: Position | undefined;
  /** How many events are parked. */
  readonly parked: number;
}

/** Another process moved the checkpoint: what it says now is where to go on. */
export class CheckpointMoved extends LeadLost {}

/** The tables are there already, and were made from another log. */
export class TablesOfAnotherLog extends Error {
  constructor(schema: string) {
    super(`the tables in schema ${schema} were made from another log`);
  }
}

/** @returns undefined where the tables were never made. */
export async function readCheckpoint(
  db: Queryable | ClientBase,
  schema: string,
  { name }: Projection,
  lock: '' | 'for update' = '',
): Promise<Checkpoint | undefined> {
  // Read as a whole: tables of an older version have fewer columns.
  const { rows } = await db.query<{
    version: number;
    log_id: string;
    position: string | null;
    parked?: number;
  }>(`select * from ${schema}.checkpoint where projection = $1 ${lock}`, [name]);
  const [row] = rows;
  if (!row) return undefined;
  const { version, log_id: log, position, parked = 0 } = row;
  return { version, log, position: position === null ? undefined : BigInt(position), parked };
}

/**
 * Moves the checkpoint in the caller's transaction, which then holds its row.
 * @throws CheckpointMoved where it isn't as it was: another process moved it, parked or retried something, or made the
 *         tables from another log or by another version.
 */
export async function moveCheckpoint(
  client: ClientBase,
  { projection, schema, log }: Target,
  from: Checkpoint,
  to: Position,
): Promise<void> {
  const { rowCount } = await client.query({
    name: 'move-checkpoint',
    text: `update ${schema}.checkpoint set position = $1, updated_at = now()
           where projection = $2 and version = $3 and log_id = $4 and position is not distinct from $5 and parked = $6`,
    values: [
      to.toString(),
      projection.name,
      projection.version,
      log,
      from.position?.toString() ?? null,
      from.parked,
    ],
  });
  if (rowCount !== 1) throw new CheckpointMoved();
}

/** Writes the first checkpoint of tables that have just been made. */
export async function beginCheckpoint(
  client: ClientBase,
  { projection, schema, log }: Target,
  position?: Position,
  parked = 0,
): Promise<void> {
  await client.query(
    `insert into ${schema}.checkpoint (projection, version, log_id, position, parked) values ($1, $2, $3, $4, $5)`,
    [projection.name, projection.version, log, position?.toString() ?? null, parked],
  );
}
