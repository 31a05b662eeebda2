import type { Target } from '../checkpoint.js';
import type { Connect } from './bulk-load.js';
import { keys } from './tables.js';

/** Connections that build indexes: as many as a small server has spare cores. Each works without parallel workers. */
const LANES = 2;

/**
 * Settles rows that depend on several streams, then adds keys and indexes to the loaded tables.
 * @param forReaders adds all indexes. Otherwise adds primary keys, and the indexes that batches need.
 */
export async function finishTables(
  target: Target,
  connect: Connect,
  forReaders: boolean,
  told: (done: number, total: number) => void,
): Promise<void> {
  const { projection, schema } = target;
  const clients = await Promise.all(Array.from({ length: LANES }, connect));
  try {
    for (const client of clients)
      await client.query(
        `set search_path to ${schema}, public; set maintenance_work_mem = '256MB'; set max_parallel_maintenance_workers = 0`,
      );
    const [first] = clients;
    if (first) await projection.bulk.settle(first);
    const needed = (statement: string) =>
      forReaders ||
      /^create unique index/.test(statement) ||
      projection.lookups?.includes(indexOf(statement) ?? '');
    const indexes = keys(target).filter((statement) => statement.startsWith('create') && needed(statement));
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

/** The name of the index that a statement creates. */
export const indexOf = (statement: string): string | undefined =>
  /^create (?:unique )?index (\w+)/.exec(statement)?.[1];
