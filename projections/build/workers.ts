import type { Client, Pool } from 'pg';
import { connect } from '../../src/postgres/database.js';
import { RebuildRunning, type RebuildContext } from './build.js';
import { lockOf, rebuildOf } from './rebuild-record.js';

/**
 * Holds a lock for as long as the work takes, and ends every connection with it; an abort breaks them off.
 * @throws RebuildRunning where somebody else holds it.
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
    // What is lost in a crash is made again.
    await client.query('set synchronous_commit = off');
    // A server that is busy with an index would go on for whoever was killed. Not every system can tell it.
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
      throw new RebuildRunning(`a ${what} is under way${await startedBy(pool, schema, what)}`);
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
  return by ? `, by ${by.started_by}, since ${by.started_at.toISOString()}` : '';
}
