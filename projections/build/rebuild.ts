import type { Client, Pool } from 'pg';
import type { RecordedEvent } from '../../src/event-store/event-store.js';
import { readCheckpoint, type Checkpoint, type Target } from '../checkpoint.js';
import { skipOf } from '../skips.js';
import { concerns } from '../projection.js';
import { takeBatch } from '../take-batch.js';
import type { RebuildContext, RebuildOptions, RebuildReport } from './build.js';
import { VerificationFailed } from './bulk-load.js';
import { dropFree, dropFreeUnder } from './homes.js';
import { isLockTimeout } from './lock-timeout.js';
import { lockOf, RebuildRecord, rebuildOf } from './rebuild-record.js';
import { declareReferences } from './references.js';
import { SchemaTaken } from './schemas.js';
import { buildShadow, checkAccount, refuseParked } from './shadow.js';
import { holders, swap, SWAP_EVENTS } from './swap.js';
import { withWorkers } from './workers.js';

const SWAP_RETRY_MS = [50, 100, 250, 500, 1_000];
const BATCH = 5_000;
const REFERENCE_TRIES = 5;
const CLEAR_UP_TRIES = 20;
const CLEAR_UP_MS = 100;

/**
 * Builds a second set of tables from the whole log, then swaps them in. Readers wait only for the swap itself, some
 * milliseconds. A rebuild that ends before the swap has no effect at all.
 * @throws RebuildRunning if another session rebuilds the same tables.
 * @throws VerificationFailed if the new tables don't match the log, or events are parked without `allowParked`.
 * @throws SwapRefused
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
      let { events, skipped } = await buildShadow(
        context,
        shadow,
        await store.head(),
        client,
        open,
        progress,
        options,
      );
      const worker = await open();
      await worker.query(`set search_path to ${free}, public`);
      let checkpoint = await current(client, shadow);
      const take = async (batch: readonly RecordedEvent[]) => {
        checkpoint = await takeBatch(worker, shadow, store, checkpoint, batch);
        events += batch.filter((event) => concerns(projection, event)).length;
        skipped = [...skipped, ...batch.flatMap((event) => skipOf(projection, event) ?? [])];
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
      await checkAccount(client, shadow, events, checkpoint, skipped);
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
      // If a session holds a table, the projector declares the keys at its next start, and the next rebuild clears up.
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

/** Clears up after a failure. Retries, because the ended session may hold its lock a moment longer. */
async function clearUp(pool: Pool, schema: string): Promise<void> {
  for (let attempt = 0; attempt < CLEAR_UP_TRIES; attempt += 1) {
    // If clearing fails now, the next rebuild clears.
    if (await dropFreeUnder(pool, schema, lockOf(rebuildOf(schema))).catch(() => true)) return;
    await new Promise((later) => setTimeout(later, CLEAR_UP_MS));
  }
}
