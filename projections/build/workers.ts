import { setTimeout } from 'node:timers/promises';
import type { Client, Pool } from 'pg';
import { connect, transaction } from '../../src/postgres/database.js';
import { RebuildRunning, type RebuildContext } from './build.js';
import { lockOf, rebuildOf } from './rebuild-record.js';
import { dropSchema } from './schemas.js';

/** How long to wait for a session that reads a schema to be dropped. */
const DROP_MS = 1_000;
const CLEAR_UP_TRIES = 20;
const CLEAR_UP_MS = 100;

/**
 * Holds a lock for the duration of the work, and closes all connections of the work at the end or on an abort.
 * @param scratch a schema of the work's own, which is dropped before and after the work.
 * @param work is given the connection that holds the lock. If the lock is lost, so is this connection.
 * @throws RebuildRunning if another session holds the lock.
 * @throws SchemaTaken if the schema is not Colophon's.
 */
export async function withWorkers<T>(
  { target: { schema }, connectionString, pool }: RebuildContext,
  what: string,
  scratch: string,
  signal: AbortSignal | undefined,
  work: (client: Client, open: () => Promise<Client>) => Promise<T>,
): Promise<T> {
  const clients: Client[] = [];
  let clearUp = false;
  const open = async () => {
    const client = await connect(connectionString, `colophon ${what}`);
    clients.push(client);
    signal?.throwIfAborted();
    // After a crash, lost tables are built again.
    await client.query('set synchronous_commit = off');
    // Otherwise a server that builds an index would continue after the client was killed. Not all systems support this.
    await client.query(`set client_connection_check_interval = '1s'`).catch(() => undefined);
    return client;
  };
  const stop = () => {
    for (const client of clients) client.connection.stream.destroy();
  };
  try {
    const client = await open();
    const { rows } = await client.query<{ locked: boolean }>(
      'select pg_try_advisory_lock(hashtextextended($1, 0)) as locked',
      [lockOf(what)],
    );
    if (!rows[0]?.locked)
      throw new RebuildRunning(`a ${what} is already running${await startedBy(pool, schema, what)}`);
    signal?.addEventListener('abort', stop);
    await client.query(`set lock_timeout = ${DROP_MS}`);
    await dropSchema(client, scratch);
    await client.query('set lock_timeout = 0');
    clearUp = true;
    return await work(client, open);
  } finally {
    signal?.removeEventListener('abort', stop);
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
    if (clearUp) await clear(pool, lockOf(what), scratch);
  }
}

/** Drops a schema under a lock. Retries, because the ended session may hold the lock a moment longer. */
async function clear(pool: Pool, lock: string, schema: string): Promise<void> {
  const drop = () =>
    transaction(pool, async (client) => {
      const { rows } = await client.query<{ locked: boolean }>(
        'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as locked',
        [lock],
      );
      if (!rows[0]?.locked) return false;
      await client.query(`set local client_min_messages = warning; set local lock_timeout = ${DROP_MS}`);
      await dropSchema(client, schema);
      return true;
    });
  for (let attempt = 0; attempt < CLEAR_UP_TRIES; attempt += 1) {
    // If clearing fails now, the next piece of work of this kind clears.
    if (await drop().catch(() => true)) return;
    await setTimeout(CLEAR_UP_MS);
  }
}

async function startedBy(pool: Pool, schema: string, what: string): Promise<string> {
  if (what !== rebuildOf(schema)) return '';
  const { rows } = await pool.query<{ started_by: string; started_at: Date }>(
    `select started_by, started_at from ${schema}.rebuilds where ended_at is null order by started_at desc limit 1`,
  );
  const [by] = rows;
  return by ? `, started by ${by.started_by} at ${by.started_at.toISOString()}` : '';
}
