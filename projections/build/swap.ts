import type { Client, DatabaseError, Pool } from 'pg';
import { OperatorError } from '../../src/errors.js';
import type { RecordedEvent } from '../../src/event-store/event-store.js';
import { readCheckpoint, type Checkpoint } from '../checkpoint.js';
import type { RebuildContext } from './build.js';
import { VerificationFailed } from './bulk-load.js';
import { partitionsOf, publication } from './publication.js';
import { ownTables } from './tables.js';

/** An object that isn't Colophon's depends on a column or table that the new tables lack. */
export class SwapRefused extends OperatorError {}

// 2BP01: a view uses a column that the swap drops. 23503: a foreign key of the operator's refers to one of the tables.
const DEPENDENT_STATES = /^(2BP01|23503)$/;

/** Largest number of events to apply during the swap, because the projector waits for the swap. */
export const SWAP_EVENTS = 500;
const SWAP_LOCK_TIMEOUT = '50ms';

/**
 * One attempt to swap the new tables in. Runs on the session that holds the rebuild lock: if the lock is lost, another
 * rebuild may use the same home schema. Readers don't wait for the disk.
 * @param client the session that holds the rebuild lock.
 * @returns false if the new tables are too far behind the live tables.
 * @throws SwapRefused
 * @throws an error that `isLockTimeout` recognises, if a lock can't be had in time.
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
    // From here on the projector waits; readers don't. Apply the events that the projector applied since the catch-up.
    await client.query(`lock table ${schema}.checkpoint in share row exclusive mode`);
    const live = await readCheckpoint(client, schema, projection);
    let taken = 0;
    if (live?.log === log && live.position !== undefined)
      for await (const events of store.readAll({ from: checkpoint().position, to: live.position })) {
        taken += events.length;
        if (taken >= SWAP_EVENTS) {
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
      throw new VerificationFailed(`another session dropped tables from ${shadow}`);
    const published = (await partitionsOf(client, schema)).map(({ table }) => `${schema}.${table}`);
    const lock = `lock table ${published.join()} in access exclusive mode`;
    // In one round trip, so that readers wait only for the server's work.
    await client.query([lock, ...(await publication(client, schema, shadow)), 'commit'].join(';'));
    return true;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    const { code, message, detail } = error as DatabaseError;
    if (!DEPENDENT_STATES.test(code ?? '')) throw error;
    throw new SwapRefused(`the tables can't be swapped: ${message}${detail ? ` (${detail})` : ''}`);
  }
}

/** The sessions that block the swap's locks, as text for a person. */
export async function holders(pool: Pool, schema: string): Promise<string> {
  const { rows } = await pool.query<{ holder: string }>(
    `select distinct 'pid ' || a.pid || ' (' || concat_ws(', ', nullif(a.application_name, ''), a.usename,
              'since ' || to_char(a.xact_start, 'HH24:MI:SS')) || ')' as holder
     from pg_locks l join pg_class c on c.oid = l.relation join pg_stat_activity a on a.pid = l.pid
     where c.relnamespace = $1::regnamespace and l.granted and a.pid <> pg_backend_pid()
       and (a.xact_start is null or a.xact_start < now() - interval '50 ms')`,
    [schema],
  );
  return rows.map(({ holder }) => holder).join(', ') || 'a session that has ended by now';
}
