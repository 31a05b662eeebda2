import { connect } from '../../src/postgres/database.js';
import { differences } from './differences.js';
import { buildAsOf } from './as-of.js';
import type { RebuildContext } from './build.js';
import { dropSchema } from './schemas.js';

/**
 * Builds the tables from each of two logs, in schemas that are dropped afterwards. Compares the tables row by row.
 * @returns the tables that differ, each with the number of rows that differ.
 */
export async function differingTables(
  contexts: readonly [RebuildContext, RebuildContext],
  signal?: AbortSignal,
): Promise<string[]> {
  const [{ target, connectionString, pool }] = contexts;
  const schemas = ['colophon_check_a', 'colophon_check_b'] as const;
  try {
    for (const [index, context] of contexts.entries()) {
      const built = { ...context, target: { ...context.target, schema: schemas[index as 0 | 1] } };
      await buildAsOf(built, await context.store.head(), { allowParked: true, signal });
    }
    const client = await connect(connectionString);
    try {
      const counts = new Map<string, number>();
      await client.query('begin');
      for await (const { table } of differences(client, target.projection.tables, ...schemas))
        counts.set(table, (counts.get(table) ?? 0) + 1);
      return [...counts].map(([table, count]) => `${table} (${count} rows)`);
    } finally {
      await client.end();
    }
  } finally {
    for (const schema of schemas) await dropSchema(pool, schema);
  }
}
