import { AnotherLog, type Deletion, type Position } from '../../src/event-store/event-store.js';
import { readCheckpoint } from '../checkpoint.js';
import { comparable, NotComparable } from './align.js';
import { apply, snapshot } from './apply.js';
import type { RebuildContext, RebuildProgress } from './build.js';
import { differences, type Difference } from './differences.js';
import { patiently } from './holders.js';
import { RebuildRecord } from './rebuild-record.js';
import { schemaFor } from './schemas.js';
import { Shadow } from './shadow.js';
import { withWorkers } from './workers.js';

export interface VerifyOptions {
  /** Repairs the rows that differ. */
  readonly repair?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Called when the work has to wait for a lock, with a list of the sessions that hold a table. */
  readonly onHeldUp?: (holders: string) => void;
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
 * meanwhile. With `repair`, applies the rows that differ, at the position that the live tables have by then.
 * @throws RebuildRunning if another verification is running.
 * @throws NotComparable if the tables are of another version or another log.
 * @throws SchemaTaken if the shadow's schema is not Colophon's.
 */
export async function verify(context: RebuildContext, options: VerifyOptions): Promise<VerifyReport> {
  const { target, pool, store } = context;
  const { schema, projection } = target;
  const aside = schemaFor('verify', schema);
  const { signal } = options;
  return withWorkers(context, `verification of ${schema}`, aside, signal, async (holder, open) => {
    const { position: at, eventId } = comparable(await readCheckpoint(pool, schema, projection), target);
    if (at !== undefined && eventId !== undefined && !(await store.holds(at, eventId)))
      throw new NotComparable(AnotherLog.withoutEvent(at, eventId).message);
    const settings = { ...options, allowParked: true };
    const progress = new RebuildRecord(settings);
    const locked = <T>(attempt: (lockMs: number) => Promise<T>) =>
      patiently(pool, schema, signal, (holders) => progress.heldUp(holders), attempt);
    const shadow = await Shadow.build(context, aside, at, open, progress, settings);
    await progress.enter('verifying', aside);
    await shadow.checkAccount();

    const reader = await open();
    const picture = await locked((lockMs) => snapshot(holder, reader, shadow, context, lockMs));
    const { position, parked } = comparable(picture, target);
    let count = 0;
    for await (const difference of differences(reader, projection.tables, aside, schema)) {
      count += 1;
      await options.onDifference(difference, position);
    }
    await reader.query('rollback');

    let repaired = 0;
    if (options.repair && count > 0) {
      await progress.enter('applying', aside);
      const told = (done: number, total: number) => progress.report('applying', done, total);
      repaired = await locked((lockMs) =>
        apply(holder, shadow, context, lockMs, told, (live, differing) => {
          comparable(live, target);
          // If an event is parked only in the live tables, a repair would add its row, and a later retry would apply the
          // event twice.
          if (differing.includes('parked'))
            throw new NotComparable(
              'the tables and the log differ in parked events: retry the parked events, or rebuild the tables',
            );
        }),
      );
    }
    let deletions = 0;
    for await (const deletion of store.deletions?.() ?? []) {
      deletions += 1;
      options.onDeletion?.(deletion);
    }
    return { position, differences: count, repaired, parked, deletions };
  });
}
