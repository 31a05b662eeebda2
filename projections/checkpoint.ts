import type { ClientBase } from 'pg';
import type { Position, RecordedEvent } from '../src/event-store/event-store.js';
import { LeadLost } from '../src/followers/follower.js';
import type { Queryable } from '../src/postgres/database.js';
import type { Projection } from './projection.js';

/** Identifies tables: the tables of a projection, in a schema, built from a log. */
export interface Target {
  readonly projection: Projection;
  readonly schema: string;
  /** Id of the log. */
  readonly log: string;
}

/** How far the tables of a schema have followed the log, as recorded with the tables. */
export interface Checkpoint {
  readonly version: number;
  readonly log: string;
  /**
   * Id of the build that the rows come from: new whenever the rows were built from the log, and not by applying events.
   * Whoever remembers anything else about the tables forgets it then. Undefined in tables of an older version.
   */
  readonly build: string | undefined;
  /** Position of the last event in the tables; undefined before the first event. */
  readonly position: Position | undefined;
  /** Id of that event, which tells whether the log still has the event; undefined if unknown. */
  readonly eventId: string | undefined;
  /** Number of parked events. */
  readonly parked: number;
}

/** Another process moved the checkpoint. The follower should continue from the new checkpoint. */
export class CheckpointMoved extends LeadLost {}

/** The tables exist and were built from another log. */
export class TablesOfAnotherLog extends Error {
  constructor(schema: string) {
    super(`the tables in schema ${schema} were made from another log`);
  }
}

/** @returns undefined if the tables don't exist. */
export async function readCheckpoint(
  db: Queryable | ClientBase,
  schema: string,
  { name }: Projection,
  lock: '' | 'for update' = '',
): Promise<Checkpoint | undefined> {
  // Selects all columns by `*`, because tables of an older version have fewer columns.
  const { rows } = await db.query<{
    version: number;
    log_id: string;
    build?: string;
    position: string | null;
    event_id?: string | null;
    parked?: number;
  }>(`select * from ${schema}.checkpoint where projection = $1 ${lock}`, [name]);
  const [row] = rows;
  if (!row) return undefined;
  const { version, log_id: log, build, position, event_id: eventId, parked = 0 } = row;
  return {
    version,
    log,
    build,
    position: position === null ? undefined : BigInt(position),
    eventId: eventId ?? undefined,
    parked,
  };
}

/**
 * Moves the checkpoint in the caller's transaction, which then holds a lock on the checkpoint's row.
 * @returns the number of parked events.
 * @throws CheckpointMoved if another process moved the checkpoint, or built the tables anew.
 */
export async function moveCheckpoint(
  client: ClientBase,
  { projection, schema, log }: Target,
  from: Checkpoint,
  to: Pick<RecordedEvent, 'position' | 'id'>,
): Promise<number> {
  const { rows } = await client.query<{ parked: number }>({
    name: 'move-checkpoint',
    text: `update ${schema}.checkpoint set position = $1, event_id = $7, updated_at = now()
           where projection = $2 and version = $3 and log_id = $4 and position is not distinct from $5 and build = $6
           returning parked`,
    values: [
      to.position.toString(),
      projection.name,
      projection.version,
      log,
      from.position?.toString() ?? null,
      from.build,
      to.id,
    ],
  });
  if (!rows[0]) throw new CheckpointMoved();
  return rows[0].parked;
}

/** Writes the first checkpoint of new tables. */
export async function beginCheckpoint(
  client: ClientBase,
  { projection, schema, log }: Target,
  position?: Position,
  eventId?: string,
): Promise<void> {
  await client.query(
    `insert into ${schema}.checkpoint (projection, version, log_id, position, event_id) values ($1, $2, $3, $4, $5)`,
    [projection.name, projection.version, log, position?.toString() ?? null, eventId ?? null],
  );
}
