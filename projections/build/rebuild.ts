import { readCheckpoint } from '../checkpoint.js';
import { approach } from './align.js';
import { apply, areRight } from './apply.js';
import type { RebuildContext, RebuildOptions, RebuildReport } from './build.js';
import { fillColumns } from './fill-columns.js';
import { patiently } from './holders.js';
import { admitReaders } from './readers.js';
import { RebuildRecord, rebuildOf } from './rebuild-record.js';
import { isUnfinished, isWidened, trim, widen } from './reshape.js';
import { schemaFor } from './schemas.js';
import { Shadow } from './shadow.js';
import { withWorkers } from './workers.js';

/**
 * Builds a shadow from the whole log, and applies the rows that differ to the live tables, in one transaction. Readers
 * never wait, except for a moment if the tables are of another version, and while empty tables are filled. A rebuild
 * that ends before the transaction has no effect on any row.
 * @throws RebuildRunning if another session rebuilds the same tables.
 * @throws VerificationFailed if the shadow doesn't match the log, or events are parked without `allowParked`.
 * @throws ApplyRefused if something of others is in the way.
 * @throws SchemaTaken if the shadow's schema is not Colophon's.
 */
export async function rebuild(
  context: RebuildContext,
  id: string,
  options: RebuildOptions = {},
): Promise<RebuildReport> {
  const { target, store, pool } = context;
  const { schema, projection } = target;
  const aside = schemaFor('rebuild', schema);
  const { signal, finish = true } = options;
  return withWorkers(context, rebuildOf(schema), aside, signal, async (holder, open) => {
    const record = await RebuildRecord.begin(pool, schema, id, options);
    try {
      const locked = <T>(attempt: (lockMs: number) => Promise<T>) =>
        patiently(pool, schema, signal, (holders) => record.heldUp(holders), attempt);
      const shadow = await Shadow.build(context, aside, await store.head(), open, record, options);
      await record.enter('catching up', aside);
      await approach(holder, shadow, context);
      await record.enter('verifying', aside);
      await shadow.checkAccount();
      const reader = await open();
      const right = await locked((lockMs) => areRight(holder, reader, shadow, context, lockMs));
      await record.enter('applying', aside);
      let rows = 0;
      if (!right) {
        const { version } = (await readCheckpoint(holder, schema, projection)) ?? {};
        if (version !== projection.version) {
          await locked((lockMs) => widen(holder, context, lockMs));
          await fillColumns(holder, shadow, context, locked);
        }
        rows = await locked((lockMs) =>
          apply(holder, shadow, context, lockMs, (done, total) => record.report('applying', done, total)),
        );
      }
      // A new version may have new tables.
      await admitReaders(holder, target);
      const { parked, position } = shadow.checkpoint;
      const report = { events: shadow.events, parked, position, rows };
      await options.onApplied?.(report);
      if (finish && ((await isUnfinished(holder, target)) || (await isWidened(holder, target))))
        await locked((lockMs) => trim(holder, context, lockMs));
      await record.end();
      return report;
    } catch (error) {
      // While the lock is held: a record without an end and without a lock is that of a process that was killed.
      await record.end(signal?.aborted ? 'stopped' : (error as Error).message);
      throw error;
    }
  });
}
