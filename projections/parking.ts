import type { ClientBase } from 'pg';
import type { ProjectableEvent } from '../src/event-store/event-store.js';
import type { Queryable } from '../src/postgres/database.js';
import type { Target } from './checkpoint.js';

/** An event that could not be applied, or that waits behind such an event. */
export interface Parked {
  readonly event: ProjectableEvent;
  /** Why the event could not be applied; null if the event waits. */
  readonly error: string | null;
}

/** Writes events to `parked`, and marks their rows as stale. The caller holds the transaction. */
export async function park(
  client: ClientBase,
  { projection, schema }: Target,
  parked: readonly Parked[],
): Promise<void> {
  if (parked.length === 0) return;
  await client.query(
    `insert into ${schema}.parked (position, stream, revision, event_id, type, error)
     select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::text[])`,
    [
      parked.map(({ event }) => event.position.toString()),
      parked.map(({ event }) => event.stream),
      parked.map(({ event }) => event.revision.toString()),
      parked.map(({ event }) => event.id),
      parked.map(({ event }) => event.type),
      parked.map(({ error }) => error?.replaceAll('\0', '') ?? null),
    ],
  );
  await client.query(`update ${schema}.checkpoint set parked = parked + $1 where projection = $2`, [
    parked.length,
    projection.name,
  ]);
  await projection.mark(client, [...new Set(parked.map(({ event }) => event.stream))], true);
}

/**
 * Takes a stream's events out of `parked`, and the mark off its rows. The caller holds the transaction.
 * @returns the ids of the events, for the caller to apply them or park them again.
 */
export async function unpark(
  client: ClientBase,
  { projection, schema }: Target,
  stream: string,
): Promise<Set<string>> {
  const { rows } = await client.query<{ id: string }>(
    `delete from ${schema}.parked where stream = $1 returning event_id as id`,
    [stream],
  );
  if (rows.length === 0) return new Set();
  await client.query(`update ${schema}.checkpoint set parked = parked - $1 where projection = $2`, [
    rows.length,
    projection.name,
  ]);
  await projection.mark(client, [stream], false);
  return new Set(rows.map(({ id }) => id));
}

/** Those of the streams that have parked events. */
export async function readParkedStreams(
  client: ClientBase,
  schema: string,
  streams: readonly string[],
): Promise<Set<string>> {
  const { rows } = await client.query<{ stream: string }>(
    `select distinct stream from ${schema}.parked where stream = any($1)`,
    [streams],
  );
  return new Set(rows.map(({ stream }) => stream));
}

/** Since when the oldest of the parked events is parked; undefined if nothing is parked. */
export async function readParkedSince(db: Queryable, schema: string): Promise<Date | undefined> {
  const { rows } = await db.query<{ since: Date | null }>(
    `select min(parked_at) as since from ${schema}.parked`,
  );
  return rows[0]?.since ?? undefined;
}

/** A row of `parked`. */
export interface ParkedRow {
  readonly position: string;
  readonly stream: string;
  readonly revision: string;
  readonly event_id: string;
  readonly type: string;
  readonly error: string | null;
  readonly parked_at: Date;
}

/** The parked events in the order of the log; only of one stream, if given. */
export async function listParked(
  db: Queryable | ClientBase,
  schema: string,
  stream?: string,
): Promise<ParkedRow[]> {
  const { rows } = await db.query<ParkedRow>(
    `select * from ${schema}.parked where $1::text is null or stream = $1 order by position`,
    [stream ?? null],
  );
  return rows;
}
