import type { Client } from 'pg';
import type { ProjectableEvent } from '../../src/event-store/event-store.js';
import { CopyIn, digestOut } from '../../src/postgres/copy.js';
import type { Target } from '../checkpoint.js';
import type { Parked } from '../parking.js';
import { concerns } from '../projection.js';
import { isSkipped, type Skips } from '../skips.js';
import { OperatorError } from '../../src/errors.js';

/** The built tables don't match the log, so the tables must not be used. */
export class VerificationFailed extends OperatorError {}

/** An event that has no effect, because an operator skipped it. */
export type LeftOut = Pick<ProjectableEvent, 'id' | 'stream' | 'revision'>;

/** The result of a bulk load. */
export interface Loaded {
  readonly events: number;
  readonly parked: readonly Parked[];
  readonly skipped: readonly LeftOut[];
  /** The event with the highest position; undefined if there are no events. */
  readonly last: Pick<ProjectableEvent, 'position' | 'id'> | undefined;
}

/** Above this number, the events are not the cause. Also bounds the memory for parked events. */
const MAX_PARKED = 100_000;

/** Opens a separate connection. */
export type Connect = () => Promise<Client>;

/**
 * Fills bare tables from the log, writes each row once, and reads every row back. Needs memory for one stream, and for
 * the rows in transit.
 * @param skips of the events that have no effect.
 * @throws VerificationFailed if the tables don't hold the folded rows.
 */
export async function bulkLoad(
  { projection, schema }: Target,
  events: AsyncIterable<readonly ProjectableEvent[]>,
  skips: Skips,
  connect: Connect,
  told: (events: number) => void,
): Promise<Loaded> {
  const { bulk } = projection;
  // Started early, so that the server sorts during the preparations.
  const pages = events[Symbol.asyncIterator]();
  const firstPage = pages.next();
  firstPage.catch(() => undefined);
  const tables = await Promise.all(
    Object.entries(bulk.columns).map(async ([name, columns]) => {
      const client = await connect();
      // COPY FREEZE needs a truncate in the same transaction. Rows are written as visible to all, and never rewritten.
      await client.query(`begin; truncate ${schema}.${name}`);
      const list = `${schema}.${name} (${columns.join()})`;
      return { name, client, list, copy: new CopyIn(client, `copy ${list} from stdin (freeze)`) };
    }),
  ).catch(async (error: unknown) => {
    await pages.return?.();
    throw error;
  });
  try {
    const copies = new Map(tables.map(({ name, copy }) => [name, copy]));
    const add: Parameters<typeof bulk.rows>[2] = (table, values) => copies.get(table)?.add(values);
    const parked: Parked[] = [];
    const skipped: LeftOut[] = [];
    let last: Loaded['last'];
    let count = 0;
    let stream = '';
    let revision = 0n;
    let standing: unknown;
    let broken = false;
    let ours = false;
    const finish = () => {
      if (standing !== undefined) bulk.rows(stream, standing, add);
    };
    for (let next = await firstPage; !next.done; next = await pages.next()) {
      const page = next.value;
      for (const event of page) {
        if (last === undefined || event.position > last.position) last = event;
        if (event.stream !== stream) {
          finish();
          ({ stream } = event);
          revision = 0n;
          standing = undefined;
          broken = false;
          ours = concerns(projection, event);
        }
        if (!ours) continue;
        count += 1;
        const gap = !bulk.gaps && event.revision !== revision;
        revision = event.revision + 1n;
        if (isSkipped(skips, event)) {
          skipped.push({ id: event.id, stream, revision: event.revision });
          continue;
        }
        if (gap && !broken) {
          broken = true;
          parked.push({
            event,
            error: `${stream}: the events before revision ${event.revision} were deleted`,
          });
          continue;
        }
        if (broken) {
          parked.push({ event, error: null });
          continue;
        }
        try {
          standing = bulk.fold(standing, event);
        } catch (error) {
          broken = true;
          parked.push({ event, error: (error as Error).message });
        }
      }
      if (parked.length > MAX_PARKED)
        throw new VerificationFailed(`more than ${MAX_PARKED} events can't be applied: ${parked[0]?.error}`);
      told(count);
      await Promise.all(tables.map(({ copy }) => copy.flush()));
    }
    finish();
    await Promise.all(
      tables.map(async ({ name, client, list, copy }) => {
        const sent = await copy.end();
        // Read from the start. Otherwise a scan of a large table may start at the place of another scan.
        await client.query('commit; set synchronize_seqscans = off');
        // Analyze before the indexes exist. Statistics on indexed expressions cost more than the indexes, and none of
        // our queries needs such statistics.
        await client.query(`analyze ${schema}.${name}`);
        if ((await digestOut(client, `copy ${list} to stdout`)) !== sent)
          throw new VerificationFailed(`${name} does not hold what was written into it`);
      }),
    );
    return { events: count, parked, skipped, last };
  } finally {
    await pages.return?.().catch(() => undefined);
    await Promise.all(tables.map(({ client }) => client.end().catch(() => undefined)));
  }
}
