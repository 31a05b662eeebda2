import type { Client } from 'pg';
import type { ProjectableEvent } from '../../src/event-store/event-store.js';
import { CopyIn, digestOut } from '../../src/postgres/copy.js';
import type { Target } from '../checkpoint.js';
import type { Parked } from '../parking.js';
import { concerns } from '../projection.js';
import { OperatorError } from '../../src/errors.js';

/** The tables are not what was folded: they must not be used. */
export class VerificationFailed extends OperatorError {}

/** What a bulk load made of the log. */
export interface Loaded {
  readonly events: number;
  readonly parked: readonly Parked[];
}

/** Beyond, it isn't the events that are wrong, and memory would grow with them. */
const MAX_PARKED = 100_000;

/** Work on connections of its own. */
export type Connect = () => Promise<Client>;

/**
 * Fills bare tables from the log, each row once, and reads every row back. Memory is what one stream takes, and what is
 * on its way.
 * @throws VerificationFailed where a stream has a gap, or the tables don't hold what was folded.
 */
export async function bulkLoad(
  { projection, schema }: Target,
  events: AsyncIterable<readonly ProjectableEvent[]>,
  connect: Connect,
  told: (events: number) => void,
): Promise<Loaded> {
  const { bulk } = projection;
  // The server sorts meanwhile.
  const pages = events[Symbol.asyncIterator]();
  const firstPage = pages.next();
  firstPage.catch(() => undefined);
  const tables = await Promise.all(
    Object.entries(bulk.columns).map(async ([name, columns]) => {
      const client = await connect();
      // Rows of a table emptied in the same transaction are written as visible to all, and never touched again.
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
        if (event.revision !== revision)
          throw new VerificationFailed(
            `${stream} has revision ${event.revision} where ${revision} should be`,
          );
        revision += 1n;
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
        // A table this large would otherwise be read from wherever another reader is.
        await client.query('commit; set synchronize_seqscans = off');
        // Before the indexes: on expressions, statistics cost more than the indexes, and no query of ours needs them.
        await client.query(`analyze ${schema}.${name}`);
        if ((await digestOut(client, `copy ${list} to stdout`)) !== sent)
          throw new VerificationFailed(`${name} does not hold what was written into it`);
      }),
    );
    return { events: count, parked };
  } finally {
    await pages.return?.().catch(() => undefined);
    await Promise.all(tables.map(({ client }) => client.end().catch(() => undefined)));
  }
}
