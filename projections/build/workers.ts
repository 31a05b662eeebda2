import type { Client, Pool } from 'pg';
import { connect } from '../../src/postgres/database.js';
import { RebuildRunning, type RebuildContext } from './build.js';
import { lockOf, rebuildOf } from './rebuild-record.js';

/**
 * Holds a lock for the duration of the work, and closes all connections of the work at the end or on an abort.
 * @throws RebuildRunning if another session holds the lock.
 */
export async function withWorkers<T>(
  { target: { schema }, connectionString, pool }: RebuildContext,
  what: string,
  signal: AbortSignal | undefined,
  work: (client: Client, open: () => Promise<Client>) => Promise<T>,
): Promise<T> {
  const clients: Client[] = [];
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
    return await work(client, open);
  } finally {
    signal?.removeEventListener('abort', stop);
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
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
