import type { Pool } from 'pg';
import type { EventStore } from '../src/event-store/event-store.js';
import { Projector, type Projection } from './projector.js';

const PATIENCE_MS = 3_600_000;

/**
 * Builds the tables from each of two logs, in schemas that are dropped afterwards, and compares them row by row.
 * @returns the tables that differ, with the number of rows only one side has.
 */
export async function differingTables(
  projection: Projection,
  stores: readonly [EventStore, EventStore],
  pool: Pool,
  connectionString: string,
): Promise<string[]> {
  const schemas = ['colophon_check_a', 'colophon_check_b'] as const;
  try {
    for (const [index, schema] of schemas.entries()) {
      const store = stores[index as 0 | 1];
      const projector = new Projector(projection, store, pool, { connectionString, schema, afresh: true });
      await projector.start();
      const head = await store.head();
      const done = head === undefined || (await projector.reached(head, PATIENCE_MS));
      await projector.close();
      if (!done) throw new Error('the tables to compare were not finished in time');
    }
    const [a, b] = schemas;
    const { rows: tables } = await pool.query<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = $1 and table_name <> 'checkpoint'`,
      [a],
    );
    const differing: string[] = [];
    for (const { name } of tables) {
      const { rows } = await pool.query<{ count: number }>({
        text: `select count(*)::integer as count from (
                 (select * from ${a}.${name} except all select * from ${b}.${name})
                 union all (select * from ${b}.${name} except all select * from ${a}.${name})) difference`,
        // A whole table is read.
        query_timeout: PATIENCE_MS,
      } as never);
      const count = rows[0]?.count ?? 0;
      if (count > 0) differing.push(`${name} (${count} rows)`);
    }
    return differing;
  } finally {
    for (const schema of schemas) await pool.query(`drop schema if exists ${schema} cascade`);
  }
}
