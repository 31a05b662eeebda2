import type { Client } from 'pg';
import type { RebuildContext } from './build.js';
import { differingRows, tablesIn } from './differences.js';
import { RebuildRecord } from './rebuild-record.js';
import { Shadow } from './shadow.js';
import { withWorkers } from './workers.js';

/**
 * Builds a shadow from each of two logs, and compares the shadows row by row.
 * @returns the tables that differ, each with the number of rows that differ.
 */
export async function differingTables(
  [first, second]: readonly [RebuildContext, RebuildContext],
  signal?: AbortSignal,
): Promise<string[]> {
  const options = { allowParked: true, signal };
  const { tables } = first.target.projection;
  const [a, b] = ['colophon_check_a', 'colophon_check_b'] as const;
  const withShadow = <T>(context: RebuildContext, schema: string, work: (client: Client) => Promise<T>) =>
    withWorkers(context, `building of ${schema}`, schema, signal, async (client, open) => {
      const head = await context.store.head();
      await Shadow.build(context, schema, head, open, new RebuildRecord(options), options);
      return work(client);
    });
  return withShadow(first, a, () =>
    withShadow(second, b, async (client) => {
      const found: string[] = [];
      for (const table of await tablesIn(client, a, tables)) {
        const { rows } = await client.query<{ count: string }>(
          `select count(*) ${differingRows(table, a, b)}`,
        );
        if (rows[0]?.count !== '0') found.push(`${table.name} (${rows[0]?.count} rows)`);
      }
      return found;
    }),
  );
}
