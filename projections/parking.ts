import type { ClientBase } from 'pg';
import type { EventStore, ProjectableEvent, RecordedEvent } from '../src/event-store/event-store.js';
import { isUnavailable, type Queryable } from '../src/postgres/database.js';
import {
  CheckpointMoved,
  moveCheckpoint,
  readCheckpoint,
  type Checkpoint,
  type Target,
} from './checkpoint.js';
import { OperatorError } from './operator-error.js';

/** An event that could not be applied, or waits behind one. */
export interface Parked {
  readonly event: ProjectableEvent;
  /** Why it could not be applied; null: it waits. */
  readonly error: string | null;
}

// Bad data, a row twice in one statement, a broken constraint, a limit of the server: this event's own fault. All else is trouble that would park
// the whole log: a missing table, a full disk, a lost connection.
const OWN_FAULT = /^(21|22|23|54)/;

/** Whether an error is for the event to bear, rather than for everything that comes after. */
export function isOwnFault(error: unknown): boolean {
  if (error instanceof CheckpointMoved || isUnavailable(error)) return false;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? OWN_FAULT.test(code) : true;
}

/**
 * Takes a batch into the tables: rows and checkpoint in one transaction. An event that can't be applied is parked, and
 * those of its stream wait behind it; the rest goes on.
 * @param client with the target's schema first in its search path.
 * @param parkedStreams of the tables as they are; what is parked is added.
 * @returns the checkpoint after it.
 * @throws CheckpointMoved
 */
export async function takeBatch(
  client: ClientBase,
  target: Target,
  from: Checkpoint,
  parkedStreams: Set<string>,
  events: readonly RecordedEvent[],
): Promise<Checkpoint> {
  const last = events.at(-1)?.position;
  if (last === undefined) return from;
  const waiting = events.filter((event) => parkedStreams.has(event.stream));
  const ready = waiting.length === 0 ? events : events.filter((event) => !parkedStreams.has(event.stream));
  const attempt = async (carefully: boolean): Promise<Parked[]> => {
    await client.query('begin isolation level read committed');
    try {
      await moveCheckpoint(client, target, from, last);
      const parked: Parked[] = waiting.map((event) => ({ event, error: null }));
      if (carefully) parked.push(...(await applyOrPark(client, target, ready)));
      else await target.projection.apply(client, ready);
      await park(client, target, parked);
      await client.query('commit');
      return parked;
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
  };
  const parked = await attempt(false).catch((error: unknown) => {
    if (!isOwnFault(error)) throw error;
    return attempt(true);
  });
  for (const { event } of parked) parkedStreams.add(event.stream);
  return { ...from, position: last, parked: from.parked + parked.length };
}

/** Halves what fails until it is a single event. */
async function applyOrPark(
  client: ClientBase,
  target: Target,
  events: readonly RecordedEvent[],
): Promise<Parked[]> {
  const [first] = events;
  if (!first) return [];
  await client.query('savepoint apply');
  try {
    await target.projection.apply(client, events);
    await client.query('release savepoint apply');
    return [];
  } catch (error) {
    if (!isOwnFault(error)) throw error;
    await client.query('rollback to savepoint apply');
    if (events.length === 1) return [{ event: first, error: (error as Error).message }];
  }
  const half = Math.ceil(events.length / 2);
  const parked = await applyOrPark(client, target, events.slice(0, half));
  const streams = new Set(parked.map(({ event }) => event.stream));
  const rest = events.slice(half);
  const waiting = rest.filter((event) => streams.has(event.stream));
  const ready = rest.filter((event) => !streams.has(event.stream));
  return [
    ...parked,
    ...waiting.map((event) => ({ event, error: null })),
    ...(await applyOrPark(client, target, ready)),
  ];
}

/** Puts events aside, and marks what they are about. The caller holds the transaction. */
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

export async function readParkedStreams(db: Queryable | ClientBase, schema: string): Promise<Set<string>> {
  const { rows } = await db.query<{ stream: string }>(`select distinct stream from ${schema}.parked`);
  return new Set(rows.map(({ stream }) => stream));
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

/** What is parked, in the log's order; of one stream if it is named. */
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

/** Nothing of the stream is parked. */
export class NothingParked extends OperatorError {
  constructor(stream: string) {
    super(`nothing of ${stream} is parked`);
  }
}

/**
 * Applies a stream's parked events again, in order, in one transaction in which the projector waits. The first that
 * still can't be applied stays parked, with those behind it.
 * @param client with the target's schema first in its search path.
 * @param skip leaves out the first of them: it will have had no effect on the tables.
 * @returns what is still parked.
 * @throws NothingParked
 * @throws OperatorError where the tables are another version's or another log's.
 */
export async function retryParked(
  client: ClientBase,
  target: Target,
  store: EventStore,
  stream: string,
  skip: boolean,
): Promise<Parked[]> {
  const { projection, schema } = target;
  await client.query('begin isolation level read committed');
  try {
    const current = await readCheckpoint(client, schema, projection, 'for update');
    if (current?.version !== projection.version || current.log !== target.log)
      throw new OperatorError(`the tables in ${schema} are of another version or another log`);
    const { rows } = await client.query<{ position: string }>(
      `delete from ${schema}.parked where stream = $1 returning position`,
      [stream],
    );
    if (rows.length === 0) throw new NothingParked(stream);
    await client.query(`update ${schema}.checkpoint set parked = parked - $1 where projection = $2`, [
      rows.length,
      projection.name,
    ]);
    await projection.mark(client, [stream], false);
    const positions = new Set(rows.map(({ position }) => position));
    const events = (await store.readStream(stream)).filter((event) =>
      positions.has(event.position.toString()),
    );
    const left = await applyOrPark(client, target, events.slice(skip ? 1 : 0));
    await park(client, target, left);
    await client.query('commit');
    return left;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}
