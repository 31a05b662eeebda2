import type { Client, DatabaseError, Pool } from 'pg';
import type { EventStore, Position, RecordedEvent } from '../src/event-store/event-store.js';
import { RebuildRecord, lockOf, rebuildOf } from './rebuild-record.js';
import { connect } from '../src/postgres/database.js';
import { bulkLoad, byStream, finishTables, VerificationFailed } from './bulk-load.js';
import { beginCheckpoint, readCheckpoint, type Checkpoint, type Target } from './checkpoint.js';
import { park, readParkedStreams, takeBatch } from './parking.js';
import {
  createTables,
  declareReferences,
  dropFree,
  dropFreeUnder,
  dropSchema,
  inSchema,
  isLockTimeout,
  markSchema,
  ownTables,
  partitionsOf,
  publication,
  SchemaTaken,
} from './tables.js';
import { concerns } from './projection.js';
import { OperatorError } from './operator-error.js';

export type Phase =
  'reading' | 'loading' | 'indexing' | 'catching up' | 'verifying' | 'swapping' | 'done' | 'failed';

/** How far a rebuild is. */
export interface RebuildProgress {
  readonly phase: Phase;
  /** Events dealt with; of `indexing`, indexes. */
  readonly done: number;
  /** What `done` will be at the end of the phase. */
  readonly total: number;
}

export interface RebuildOptions {
  /** Goes on where events can't be applied, and parks them; otherwise they fail the verification. */
  readonly allowParked?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Told every time the swap has to wait: who holds a table. */
  readonly onHeldUp?: (holders: string) => void;
  /** For tests: called before each phase. */
  readonly onPhase?: (phase: Phase, shadow: string) => Promise<void>;
}

/** What was rebuilt. */
export interface RebuildReport {
  readonly events: number;
  readonly parked: number;
  readonly position: Position | undefined;
}

/** The databases that a rebuild works between. */
export interface RebuildContext {
  readonly target: Target;
  readonly store: EventStore;
  readonly pool: Pool;
  readonly connectionString: string;
}

/** Somebody else is at it. */
export class RebuildRunning extends OperatorError {}

/** Something of somebody else's hangs on what the new tables do without. */
export class ExchangeRefused extends OperatorError {}

// A view on a column that is to go; a foreign key of somebody's own to one of the tables.
const DEPENDENT_STATES = /^(2BP01|23503)$/;

/** What is left to the swap at most: it holds up the projector while it takes that in. */
const SWAP_EVENTS = 500;
const SWAP_LOCK_TIMEOUT = '50ms';
const SWAP_RETRY_MS = [50, 100, 250, 500, 1_000];
const BATCH = 5_000;
const REFERENCE_TRIES = 5;
const CLEAR_UP_TRIES = 20;
const CLEAR_UP_MS = 100;
/** What a schema of {@link buildAsOf} holds, by its mark. */
export const AS_OF = 'tables as of a moment';

/**
 * Builds the tables anew beside those that are read, from the whole log, and puts them in their place. Readers don't wait
 * but for the exchange itself, some milliseconds; a rebuild that ends before it has no effect at all.
 * @throws RebuildRunning while another rebuilds the same tables.
 * @throws VerificationFailed where the new tables aren't what the log says, or something is parked.
 * @throws ExchangeRefused
 */
export async function rebuild(
  context: RebuildContext,
  id: string,
  options: RebuildOptions = {},
): Promise<RebuildReport> {
  const { target, store, pool } = context;
  const { schema, projection } = target;
  let progress: RebuildRecord | undefined;
  try {
    return await withWorkers(context, rebuildOf(schema), options.signal, async (client, open) => {
      const free = await dropFree(pool, schema);
      progress = await RebuildRecord.begin(pool, schema, id, options);
      const shadow = { ...target, schema: free };
      let { events } = await build(context, shadow, await store.head(), client, open, progress, options);
      const worker = await open();
      await worker.query(`set search_path to ${free}, public`);
      let checkpoint = await current(client, shadow);
      const parkedStreams = await readParkedStreams(client, free);
      const take = async (batch: readonly RecordedEvent[]) => {
        checkpoint = await takeBatch(worker, shadow, checkpoint, parkedStreams, batch);
        events += batch.filter((event) => concerns(projection, event)).length;
        if (checkpoint.parked > 0) await refuseParked(client, free, options);
      };
      const catchUp = async () => {
        for (let left = BATCH; left >= SWAP_EVENTS;) {
          left = 0;
          for await (const batch of store.readAll({ from: checkpoint.position, batchSize: BATCH })) {
            options.signal?.throwIfAborted();
            await take(batch);
            left += batch.length;
            progress?.report('catching up', events, events);
          }
        }
      };
      await progress.enter('catching up', free);
      await catchUp();
      await progress.enter('verifying', free);
      await verify(client, shadow, events, checkpoint);
      await progress.enter('swapping', free);
      for (let attempt = 0; ; attempt += 1) {
        options.signal?.throwIfAborted();
        try {
          if (await swap(client, context, free, () => checkpoint, take)) break;
        } catch (error) {
          if (!isLockTimeout(error)) throw error;
          options.onHeldUp?.(await holders(pool, schema));
        }
        await new Promise((later) => setTimeout(later, SWAP_RETRY_MS[attempt] ?? 1_000));
        await catchUp();
        progress.report('swapping', events, events);
      }
      // Where somebody holds a table, the projector declares them when it next begins, and the next rebuild clears up.
      for (
        let attempt = 0;
        attempt < REFERENCE_TRIES && !(await declareReferences(pool, target));
        attempt += 1
      )
        await new Promise((later) => setTimeout(later, SWAP_RETRY_MS[0]));
      await dropFree(pool, schema).catch(ifTaken);
      await progress.end();
      return { events, parked: checkpoint.parked, position: checkpoint.position };
    });
  } catch (error) {
    await progress?.end(options.signal?.aborted ? 'stopped' : (error as Error).message);
    if (progress) await clearUp(pool, schema);
    throw error;
  }

  async function current(client: Client, shadow: Target): Promise<Checkpoint> {
    const found = await readCheckpoint(client, shadow.schema, projection);
    if (!found) throw new VerificationFailed(`${shadow.schema} has no checkpoint`);
    return found;
  }
}

const ifTaken = (error: unknown): void => {
  if (!(error instanceof SchemaTaken)) throw error;
};

/** After a failure: the session whose connections were broken off may hold its lock a moment longer. */
async function clearUp(pool: Pool, schema: string): Promise<void> {
  for (let attempt = 0; attempt < CLEAR_UP_TRIES; attempt += 1) {
    // What can't be cleared now is cleared by the next rebuild.
    if (await dropFreeUnder(pool, schema, lockOf(rebuildOf(schema))).catch(() => true)) return;
    await new Promise((later) => setTimeout(later, CLEAR_UP_MS));
  }
}

/**
 * Builds the tables as they stood at a position, as ordinary tables in a schema of their own.
 * @throws RebuildRunning
 * @throws VerificationFailed as {@link rebuild}.
 */
export async function buildAsOf(
  context: RebuildContext,
  to: Position | undefined,
  options: RebuildOptions = {},
): Promise<RebuildReport> {
  const { target } = context;
  const { schema, projection } = target;
  return withWorkers(context, `building of ${schema}`, options.signal, async (client, open) => {
    const building = { ...target, schema: `colophon_building_${schema}` };
    const progress = new RebuildRecord(options);
    await dropSchema(client, building.schema);
    try {
      const { events } = await build(context, building, to, client, open, progress, options);
      await progress.enter('verifying', building.schema);
      const checkpoint = await readCheckpoint(client, building.schema, projection);
      if (!checkpoint) throw new VerificationFailed(`${building.schema} has no checkpoint`);
      await verify(client, building, events, checkpoint);
      await inSchema(client, building.schema, projection.references());
      await client.query('begin');
      await dropSchema(client, schema);
      await client.query(
        `alter schema ${building.schema} rename to ${schema}; ${markSchema(schema, AS_OF)}; commit`,
      );
      return { events, parked: checkpoint.parked, position: to };
    } catch (error) {
      // By the session that holds the lock; where that is gone, the next one clears up.
      await client.query('rollback').catch(() => undefined);
      await dropSchema(client, building.schema).catch(() => undefined);
      throw error;
    }
  });
}

/** Fills a schema's new tables from the log up to a position. */
async function build(
  { store, connectionString }: RebuildContext,
  shadow: Target,
  to: Position | undefined,
  client: Client,
  open: () => Promise<Client>,
  progress: RebuildRecord,
  options: RebuildOptions,
): Promise<{ events: number }> {
  await progress.enter('loading', shadow.schema);
  await createTables(client, shadow);
  const head = Number(to ?? 0n);
  let total = store.readByStream ? head : 0;
  const source =
    to === undefined
      ? nothing()
      : byStream(store, to, shadow.schema, connectionString, open, (events, position) => {
          options.signal?.throwIfAborted();
          total = events;
          // How many there will be is not known, how far they reach is.
          progress.report('reading', events, Math.round((events * head) / Math.max(1, Number(position))));
        });
  const { events, parked } = await bulkLoad(shadow, source, open, (done) => {
    options.signal?.throwIfAborted();
    progress.report('loading', done, Math.max(total, done));
  });
  await beginCheckpoint(client, shadow, to);
  await progress.enter('indexing', shadow.schema);
  await finishTables(shadow, open, (done, of) => progress.report('indexing', done, of));
  await client.query(`set search_path to ${shadow.schema}, public`);
  await park(client, shadow, parked);
  if (parked.length > 0) await refuseParked(client, shadow.schema, options);
  return { events };
}

async function* nothing(): AsyncIterable<never> {}

/** Every event of the log is accounted for by the revisions in the tables, or parked. */
async function verify(
  client: Client,
  { projection }: Target,
  events: number,
  { parked }: Checkpoint,
): Promise<void> {
  const { rows } = await client.query<{ accounted: string }>(
    `select (${projection.accounted})::bigint as accounted`,
  );
  const accounted = Number(rows[0]?.accounted) + parked;
  if (accounted !== events)
    throw new VerificationFailed(`the new tables account for ${accounted} events of ${events}`);
}

/** @throws VerificationFailed where something is parked that may not be, naming the first. */
async function refuseParked(client: Client, schema: string, { allowParked }: RebuildOptions): Promise<void> {
  if (allowParked) return;
  const { rows } = await client.query<{ error: string; count: number }>(
    `select error, (select count(*)::integer from ${schema}.parked) as count
     from ${schema}.parked where error is not null order by position limit 1`,
  );
  const { error, count = 0 } = rows[0] ?? {};
  throw new VerificationFailed(`${count} event${count === 1 ? '' : 's'} can't be applied: ${error}`);
}

/**
 * One try of the exchange. It is done by the session that holds the lock: where that has been lost, somebody else may be
 * building in the same place. Readers don't wait for the disk: what follows the exchange is written before it is told.
 * @param client that session.
 * @returns false where the new tables are too far behind those that are read.
 * @throws ExchangeRefused
 * @throws where a lock can't be had in time: told by isLockTimeout.
 */
async function swap(
  client: Client,
  { target, store }: RebuildContext,
  shadow: string,
  checkpoint: () => Checkpoint,
  take: (events: readonly RecordedEvent[]) => Promise<void>,
): Promise<boolean> {
  const { projection, schema, log } = target;
  await client.query(`begin; set local lock_timeout = '${SWAP_LOCK_TIMEOUT}'`);
  try {
    // The projector waits from here on, and readers don't: what it has taken in since is taken in here too.
    await client.query(`lock table ${schema}.checkpoint in share row exclusive mode`);
    const live = await readCheckpoint(client, schema, projection);
    if (live?.log === log && live.position !== undefined)
      for await (const events of store.readAll({ from: checkpoint().position, to: live.position })) {
        if (events.length >= SWAP_EVENTS) {
          await client.query('rollback');
          return false;
        }
        await take(events);
      }
    const { rows: complete } = await client.query(
      `select from pg_class where relnamespace = to_regnamespace($1) and relkind = 'r' and relname = any($2)`,
      [shadow, ownTables(projection)],
    );
    if (complete.length < ownTables(projection).length)
      throw new VerificationFailed(`somebody has taken tables away from ${shadow}`);
    const published = (await partitionsOf(client, schema)).map(({ table }) => `${schema}.${table}`);
    const lock = `lock table ${published.join()} in access exclusive mode`;
    // In one round trip: readers wait for no more than what the server does.
    await client.query([lock, ...(await publication(client, schema, shadow)), 'commit'].join(';'));
    return true;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    const { code, message, detail } = error as DatabaseError;
    if (!DEPENDENT_STATES.test(code ?? '')) throw error;
    throw new ExchangeRefused(`the tables can't be exchanged: ${message}${detail ? ` (${detail})` : ''}`);
  }
}

/** Who keeps the exchange from its locks, for a person. */
async function holders(pool: Pool, schema: string): Promise<string> {
  const { rows } = await pool.query<{ holder: string }>(
    `select distinct 'pid ' || a.pid || ' (' || concat_ws(', ', nullif(a.application_name, ''), a.usename,
              'since ' || to_char(a.xact_start, 'HH24:MI:SS')) || ')' as holder
     from pg_locks l join pg_class c on c.oid = l.relation join pg_stat_activity a on a.pid = l.pid
     where c.relnamespace = $1::regnamespace and l.granted and a.pid <> pg_backend_pid()
       and (a.xact_start is null or a.xact_start < now() - interval '50 ms')`,
    [schema],
  );
  return rows.map(({ holder }) => holder).join(', ') || 'somebody who is gone by now';
}

/**
 * Holds a lock for as long as the work takes, and ends every connection with it; an abort breaks them off.
 * @throws RebuildRunning where somebody else holds it.
 */
export async function withWorkers<T>(
  { target: { schema }, connectionString, pool }: RebuildContext,
  what: string,
  signal: AbortSignal | undefined,
  work: (client: Client, open: () => Promise<Client>) => Promise<T>,
): Promise<T> {
  const clients: Client[] = [];
  const open = async () => {
    const client = await connect(connectionString, `colophon ${what}`);
    clients.push(client);
    signal?.throwIfAborted();
    // What is lost in a crash is made again.
    await client.query('set synchronous_commit = off');
    // A server that is busy with an index would go on for whoever was killed. Not every system can tell it.
    await client.query(`set client_connection_check_interval = '1s'`).catch(() => undefined);
    return client;
  };
  const stop = () => {
    for (const client of clients) client.connection.stream.destroy();
  };
  try {
    const client = await open();
    const { rows } = await client.query<{ locked: boolean }>(
      'select pg_try_advisory_lock(hashtextextended($1, 0)) as locked',
      [lockOf(what)],
    );
    if (!rows[0]?.locked)
      throw new RebuildRunning(`a ${what} is under way${await startedBy(pool, schema, what)}`);
    signal?.addEventListener('abort', stop);
    return await work(client, open);
  } finally {
    signal?.removeEventListener('abort', stop);
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  }
}

async function startedBy(pool: Pool, schema: string, what: string): Promise<string> {
  if (what !== rebuildOf(schema)) return '';
  const { rows } = await pool.query<{ started_by: string; started_at: Date }>(
    `select started_by, started_at from ${schema}.rebuilds where ended_at is null order by started_at desc limit 1`,
  );
  const [by] = rows;
  return by ? `, by ${by.started_by}, since ${by.started_at.toISOString()}` : '';
}
