import type { Client } from 'pg';
import type { Position } from '../src/event-store/event-store.js';
import { readCheckpoint, type Checkpoint, type Target } from './checkpoint.js';
import { differences, type Difference } from './differences.js';
import { OperatorError } from './operator-error.js';
import { listParked, readParkedStreams, takeBatch } from './parking.js';
import { buildAsOf, withWorkers, type RebuildContext, type RebuildProgress } from './rebuild.js';
import { describeTable, dropSchema } from './tables.js';

export interface VerifyOptions {
  /** Mends what differs. */
  readonly repair?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Called with each difference, in order, one at a time. */
  readonly onDifference: (difference: Difference, position: Position | undefined) => Promise<void>;
}

export interface VerifyReport {
  /** Where tables and log were compared. */
  readonly position: Position | undefined;
  readonly differences: number;
  /** How many rows were mended. */
  readonly repaired: number;
}

/** More wrong rows than this are for a rebuild to mend. */
export const MAX_REPAIRS = 100_000;

/** The tables can't be compared with the log. */
export class NotComparable extends OperatorError {}

/**
 * Replays the log aside and compares every row of the tables that are read with it, at one position, while everything
 * goes on. Rows that differ are mended, if so wished, in one transaction, at the position the tables have by then.
 * @throws RebuildRunning while another verification is under way.
 * @throws NotComparable for tables of another version or another log.
 */
export async function verify(context: RebuildContext, options: VerifyOptions): Promise<VerifyReport> {
  const { target, pool } = context;
  const { schema, projection } = target;
  const aside = { ...target, schema: `colophon_verify_${schema}` };
  const { signal, onProgress } = options;
  return withWorkers(context, `verification of ${schema}`, signal, async (holder, open) => {
    const live = comparable(await readCheckpoint(pool, schema, projection), target);
    await buildAsOf({ ...context, target: aside }, live.position, {
      allowParked: true,
      signal,
      ...(onProgress && { onProgress }),
    });
    try {
      const worker = await open();
      await worker.query(`set search_path to ${aside.schema}, public`);
      const reader = await open();
      const position = await align(holder, worker, context, aside);
      // The reader's view of the tables is from while the projector waits, and no rebuild can exchange them meanwhile.
      await reader.query('begin isolation level repeatable read read only');
      const names = projection.tables.map((name) => `${schema}.${name}`);
      await reader.query(`lock table ${names.join()} in access share mode`);
      await reader.query('select 1');
      await holder.query('rollback');

      let count = 0;
      const wrong = new Map<string, Difference['key'][]>(projection.tables.map((name) => [name, []]));
      for await (const difference of differences(reader, projection.tables, aside.schema, schema)) {
        count += 1;
        await options.onDifference(difference, position);
        if (count <= MAX_REPAIRS) wrong.get(difference.table)?.push(difference.key);
      }
      await reader.query('rollback');
      if (options.repair && count > 0) await repair(holder, worker, context, aside, wrong, count);
      return { position, differences: count, repaired: options.repair ? count : 0 };
    } finally {
      await dropSchema(pool, aside.schema).catch(() => undefined);
    }
  });
}

function comparable(live: Checkpoint | undefined, { projection, schema, log }: Target): Checkpoint {
  if (!live) throw new NotComparable(`there are no tables in ${schema}`);
  if (live.version !== projection.version)
    throw new NotComparable(`the tables are of version ${live.version}, not ${projection.version}`);
  if (live.log !== log) throw new NotComparable(`the tables in ${schema} were made from another log`);
  return live;
}

/** The projector waits for no more than this many events to be taken in aside. */
const ALIGN_EVENTS = 500;

/**
 * Brings the tables aside to where those are that are read, and holds the projector there: in a transaction that is left
 * open.
 */
async function align(
  holder: Client,
  worker: Client,
  { target, store }: RebuildContext,
  aside: Target,
): Promise<Position | undefined> {
  const { schema, projection } = target;
  const parked = await readParkedStreams(worker, aside.schema);
  const follow = async (to: Position | undefined): Promise<number> => {
    let checkpoint = await readCheckpoint(worker, aside.schema, projection);
    if (!checkpoint || to === undefined) return 0;
    let taken = 0;
    for await (const events of store.readAll({ from: checkpoint.position, to })) {
      checkpoint = await takeBatch(worker, aside, checkpoint, parked, events);
      taken += events.length;
    }
    return taken;
  };
  const position = async () => comparable(await readCheckpoint(holder, schema, projection), target).position;
  while ((await follow(await position())) >= ALIGN_EVENTS);
  await holder.query('begin');
  await holder.query(`lock table ${schema}.checkpoint in share row exclusive mode`);
  const reached = await position();
  await follow(reached);
  return reached;
}

/** Copies the rows with these keys from the tables aside: what is surplus goes first, what refers comes last. */
async function repair(
  holder: Client,
  worker: Client,
  context: RebuildContext,
  aside: Target,
  wrong: ReadonlyMap<string, readonly Difference['key'][]>,
  count: number,
): Promise<void> {
  if (count > MAX_REPAIRS) throw new NotComparable(`${count} rows differ: rebuild the tables`);
  const { schema, projection } = context.target;
  await align(holder, worker, context, aside);
  const positions = async (of: string) =>
    (await listParked(holder, of)).map(({ position }) => position).join();
  // A row of an event that is parked here and not there would be mended, and the event then applied once more.
  if ((await positions(schema)) !== (await positions(aside.schema)))
    throw new NotComparable(
      'not the same events are parked as the log gives: retry those, or rebuild the tables',
    );
  const steps = await Promise.all(
    projection.tables.map(async (table) => {
      const { key, columns } = await describeTable(holder, aside.schema, table);
      return { table, key, columns, rows: JSON.stringify(wrong.get(table) ?? []) };
    }),
  );
  const keyed = (table: string) => `jsonb_populate_recordset(null::${aside.schema}.${table}, $1)`;
  const on = (key: string[], a: string, b: string) =>
    key.map((name) => `${a}.${name} = ${b}.${name}`).join(' and ');
  for (const { table, key, rows } of steps.toReversed())
    await holder.query(
      `delete from ${schema}.${table} t using ${keyed(table)} k where ${on(key, 't', 'k')}
       and not exists (select from ${aside.schema}.${table} e where ${on(key, 'e', 'k')})`,
      [rows],
    );
  for (const { table, key, columns, rows } of steps)
    await holder.query(
      `insert into ${schema}.${table} (${columns.join()})
       select ${columns.map((column) => `e.${column}`).join()} from ${aside.schema}.${table} e
       join ${keyed(table)} k on ${on(key, 'e', 'k')}
       on conflict (${key.join()}) do update set ${columns.map((column) => `${column} = excluded.${column}`).join()}`,
      [rows],
    );
  await holder.query('commit');
}
