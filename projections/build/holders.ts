import { setTimeout } from 'node:timers/promises';
import type { Pool } from 'pg';
import { isLockTimeout } from '../../src/postgres/errors.js';
import { sessionInWords } from '../../src/postgres/sessions.js';

/**
 * How long to wait for locks, in turn. The projector waits meanwhile, so most waits are short. A wait above a second lets
 * PostgreSQL cancel an autovacuum. Shorter waits end before PostgreSQL looks for deadlocks, so no reader is a victim.
 */
const PATIENCE_MS = [50, 100, 250, 500, 500, 1_500];

/** The longest pause between two attempts. */
const PAUSE_MS = 1_000;

/**
 * Repeats an attempt to lock tables and work on the tables, until the attempt gets its locks. Between attempts,
 * everybody else goes on.
 * @param attempt is told how long to wait for a lock, in milliseconds. Leaves no transaction open if it fails.
 * @param heldUp is told which sessions hold the tables.
 */
export async function patiently<T>(
  pool: Pool,
  schema: string,
  signal: AbortSignal | undefined,
  heldUp: (holders: string) => void,
  attempt: (lockMs: number) => Promise<T>,
): Promise<T> {
  for (let n = 0; ; n += 1) {
    signal?.throwIfAborted();
    const lockMs = PATIENCE_MS[n % PATIENCE_MS.length] ?? 0;
    try {
      return await attempt(lockMs);
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      heldUp(await holdersOf(pool, schema));
    }
    await setTimeout(Math.min(PAUSE_MS, 50 + lockMs));
  }
}

/** Whether sessions, as text for a person, are at work on the live tables: a rebuild, a repair or an upgrade. */
export const isOurWork = (sessions: string): boolean =>
  /^pid \d+ \(colophon (rebuild|verification|upgrade) of [^)]*\)$/.test(sessions);

/** Whether such a session writes the live tables at this moment, so that the projection waits. */
export async function isBeingWritten(pool: Pool, schema: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `select from pg_locks l join pg_class c on c.oid = l.relation join pg_stat_activity a on a.pid = l.pid
     where c.relnamespace = $1::regnamespace and l.granted and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
       and a.application_name ~ '^colophon (rebuild|verification|upgrade) of ' limit 1`,
    [schema],
  );
  return rowCount === 1;
}

/** The sessions that hold tables of a schema for longer than a moment, as text for a person. */
export async function holdersOf(pool: Pool, schema: string): Promise<string> {
  const { rows } = await pool.query<{ holder: string; reads: boolean }>(
    `select ${sessionInWords('a')} as holder, bool_and(l.mode = 'AccessShareLock') as reads
     from pg_locks l join pg_class c on c.oid = l.relation join pg_stat_activity a on a.pid = l.pid
     where c.relnamespace = $1::regnamespace and l.granted and a.pid <> pg_backend_pid()
       and (a.xact_start is null or a.xact_start < now() - interval '50 ms')
     group by a.pid, a.application_name, a.usename, a.xact_start`,
    [schema],
  );
  // Sessions that only read hold up nothing but a change of columns.
  const strong = rows.some(({ reads }) => !reads) ? rows.filter(({ reads }) => !reads) : rows;
  return strong.map(({ holder }) => holder).join(', ') || 'a session that has ended by now';
}
