import type { Target } from '../checkpoint.js';
import type { Connect } from './bulk-load.js';
import { keys } from './tables.js';

/** Connections that build indexes: as many as a small server has spare cores. Each works without parallel workers. */
const LANES = 2;

/** Settles rows that depend on several streams, then adds keys and indexes to the loaded tables. */
export async function finishTables(
  target: Target,
  connect: Connect,
  told: (done: number, total: number) => void,
): Promise<void> {
  const clients = await Promise.all(Array.from({ length: LANES }, connect));
  try {
    for (const client of clients)
      await client.query(
        `set search_path to ${target.schema}, public; set maintenance_work_mem = '256MB'; set max_parallel_maintenance_workers = 0`,
      );
    const [first] = clients;
    if (first) await target.projection.bulk.settle(first);
    const indexes = keys(target).filter((statement) => statement.startsWith('create'));
    const total = indexes.length;
    await Promise.all(
      clients.map(async (client) => {
        for (let statement = indexes.shift(); statement; statement = indexes.shift()) {
          await client.query(statement);
          told(total - indexes.length, total);
        }
      }),
    );
    // Constraints need every index of their table first.
    const constraints = keys(target).filter((statement) => !statement.startsWith('create'));
    await first?.query(constraints.join(';'));
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  }
}
