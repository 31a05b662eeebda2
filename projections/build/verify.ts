import { AnotherLog, type Deletion, type Position } from '../../src/event-store/event-store.js';
import { readCheckpoint } from '../checkpoint.js';
import { align, comparable, NotComparable } from './align.js';
import { buildAsOf } from './as-of.js';
import type { RebuildContext, RebuildProgress } from './build.js';
import { differences, type Difference } from './differences.js';
import { MAX_REPAIRS, repair } from './repair.js';
import { dropSchema } from './schemas.js';
import { withWorkers } from './workers.js';

export interface VerifyOptions {
  /** Repairs the rows that differ. */
  readonly repair?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Called with each stream of which another program deleted events. */
  readonly onDeletion?: (deletion: Deletion) => void;
  /** Called with each difference, in order, one at a time. */
  readonly onDifference: (difference: Difference, position: Position | undefined) => Promise<void>;
}

export interface VerifyReport {
  /** The position at which tables and log were compared. */
  readonly position: Position | undefined;
  readonly differences: number;
  /** Number of repaired rows. */
  readonly repaired: number;
  /** Events that could not be applied, or wait behind one. The tables can't show these events. */
  readonly parked: number;
  /** Streams of which another program deleted events. The tables may still show them. */
  readonly deletions: number;
}

/**
 * Replays the log into a shadow, and compares every row of the live tables at one position. The service keeps running
 * meanwhile. With `repair`, repairs the rows that differ in one transaction, at the position that the live tables have
 * by then.
 * @throws RebuildRunning if another verification is running.
 * @throws NotComparable if the tables are of another version or another log.
 */
export async function verify(context: RebuildContext, options: VerifyOptions): Promise<VerifyReport> {
  const { target, pool } = context;
  const { schema, projection } = target;
  const aside = { ...target, schema: `colophon_verify_${schema}` };
  const { signal, onProgress } = options;
  return withWorkers(context, `verification of ${schema}`, signal, async (holder, open) => {
    const live = comparable(await readCheckpoint(pool, schema, projection), target);
    const { position: at, eventId } = live;
    if (at !== undefined && eventId !== undefined && !(await context.store.holds(at, eventId)))
      throw new NotComparable(AnotherLog.withoutEvent(at, eventId).message);
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
      // The reader takes its snapshot while the projector waits. The reader's locks keep a rebuild from swapping.
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
      let deletions = 0;
      for await (const deletion of context.store.deletions?.() ?? []) {
        deletions += 1;
        options.onDeletion?.(deletion);
      }
      const repaired = options.repair ? count : 0;
      return { position, differences: count, repaired, parked: live.parked, deletions };
    } finally {
      await dropSchema(pool, aside.schema).catch(() => undefined);
    }
  });
}
