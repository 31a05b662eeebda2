import type { Client, DatabaseError, Pool } from 'pg';
import { OperatorError } from '../../src/errors.js';
import type { RecordedEvent } from '../../src/event-store/event-store.js';
import { readCheckpoint, type Checkpoint } from '../checkpoint.js';
import type { RebuildContext } from './build.js';
import { VerificationFailed } from './bulk-load.js';
import { partitionsOf, publication } from './publication.js';
import { ownTables } from './tables.js';

/** Something of somebody else's hangs on what the new tables do without. */
export class SwapRefused extends OperatorError {}

// A view on a column that is to go; a foreign key of somebody's own to one of the tables.
const DEPENDENT_STATES = /^(2BP01|23503)$/;

/** What is left to the swap at most: it holds up the projector while it takes that in. */
export const SWAP_EVENTS = 500;
const SWAP_LOCK_TIMEOUT = '50ms';

/**
 * One try of the exchange. It is done by the session that holds the lock: where that has been lost, somebody else may be
 * building in the same place. Readers don't wait for the disk: what follows the exchange is written before it is told.
 * @param client that session.
 * @returns false where the new tables are too far behind those that are read.
 * @throws SwapRefused
 * @throws where a lock can't be had in time: told by isLockTimeout.
 */
export async function swap(
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
    throw new SwapRefused(`the tables can't be exchanged: ${message}${detail ? ` (${detail})` : ''}`);
  }
}

/** Who keeps the exchange from its locks, for a person. */
export async function holders(pool: Pool, schema: string): Promise<string> {
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
