import type { Client } from 'pg';
import { byStream } from '../../src/event-store/by-stream.js';
import { categoryOf, idOf, type Position } from '../../src/event-store/event-store.js';
import { beginCheckpoint, type Checkpoint, type Target } from '../checkpoint.js';
import { park } from '../parking.js';
import { readSkips, type Skip } from '../skips.js';
import type { RebuildContext, RebuildOptions } from './build.js';
import { bulkLoad, VerificationFailed, type Loaded } from './bulk-load.js';
import { finishTables } from './finish-tables.js';
import type { RebuildRecord } from './rebuild-record.js';
import { createTables } from './tables.js';

/** Creates tables in a schema, and fills the tables from the log up to a position. */
export async function buildShadow(
  { store, connectionString }: RebuildContext,
  shadow: Target,
  to: Position | undefined,
  client: Client,
  open: () => Promise<Client>,
  progress: RebuildRecord,
  options: RebuildOptions,
): Promise<Pick<Loaded, 'events' | 'skipped'>> {
  await progress.enter('loading', shadow.schema);
  await createTables(client, shadow);
  const head = Number(to ?? 0n);
  let total = store.readByStream ? head : 0;
  const source =
    to === undefined
      ? nothing()
      : byStream(store, to, {
          connectionString,
          schema: shadow.schema,
          connect: open,
          told: (events, position) => {
            options.signal?.throwIfAborted();
            total = events;
            // The number of events is unknown, so estimate the total from the position reached.
            progress.report('reading', events, Math.round((events * head) / Math.max(1, Number(position))));
          },
        });
  const skips = await readSkips(store, shadow.projection, to);
  const { events, parked, skipped, last } = await bulkLoad(shadow, source, skips, open, (done) => {
    options.signal?.throwIfAborted();
    progress.report('loading', done, Math.max(total, done));
  });
  await beginCheckpoint(client, shadow, to, last?.position === to ? last?.id : undefined);
  await progress.enter('indexing', shadow.schema);
  await finishTables(shadow, open, (done, of) => progress.report('indexing', done, of));
  await client.query(`set search_path to ${shadow.schema}, public`);
  await park(client, shadow, parked);
  if (parked.length > 0) await refuseParked(client, shadow.schema, options);
  return { events, skipped };
}

async function* nothing(): AsyncIterable<never> {}

/**
 * Checks that the revisions in the tables, the parked events, and the skipped events that no later event of the stream
 * covers, account for every event of the log.
 * @throws VerificationFailed
 */
export async function checkAccount(
  client: Client,
  { projection }: Target,
  events: number,
  { parked }: Checkpoint,
  skipped: readonly Skip[],
): Promise<void> {
  const { rows } = await client.query<{ accounted: string }>(
    `select (${projection.accounted})::bigint as accounted`,
  );
  let accounted = Number(rows[0]?.accounted) + parked;
  for (const { stream, revision } of new Map(skipped.map((skip) => [skip.eventId, skip])).values()) {
    const { rows: found } = await client.query<{ revision: string }>(projection.reached, [
      categoryOf(stream),
      idOf(stream),
    ]);
    if (BigInt(found[0]?.revision ?? -1) < BigInt(revision)) accounted += 1;
  }
  if (accounted !== events)
    throw new VerificationFailed(`the new tables account for ${accounted} events of ${events}`);
}

/** @throws VerificationFailed if events are parked without `allowParked`. Names the first error. */
export async function refuseParked(
  client: Client,
  schema: string,
  { allowParked }: RebuildOptions,
): Promise<void> {
  if (allowParked) return;
  const { rows } = await client.query<{ error: string; count: number }>(
    `select error, (select count(*)::integer from ${schema}.parked) as count
     from ${schema}.parked where error is not null order by position limit 1`,
  );
  const { error, count = 0 } = rows[0] ?? {};
  throw new VerificationFailed(`${count} event${count === 1 ? '' : 's'} can't be applied: ${error}`);
}
