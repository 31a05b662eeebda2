import type { Client } from 'pg';
import { whileStopped } from './align.js';
import type { RebuildContext } from './build.js';
import { comparedColumns, sameKey, tablesIn } from './differences.js';
import { placeOf, readMade } from './made.js';
import type { Shadow } from './shadow.js';

/** Pages of the shadow for one transaction: some ten thousand rows, so that the projection waits for a moment only. */
const PAGES = 500;

/**
 * Fills the columns and tables that an upgrade added, a part at a time, while processes of the old version go on. Nobody
 * reads them yet. What the old version changes meanwhile is written with the other differences, when the upgrade applies them:
 * few rows instead of all.
 * @param locked repeats an attempt until the attempt gets its locks.
 */
export async function fillColumns(
  holder: Client,
  shadow: Shadow,
  context: RebuildContext,
  locked: (attempt: (lockMs: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  const { schema, projection } = context.target;
  const aside = shadow.target.schema;
  const { coming = [] } = await readMade(holder, schema);
  for (const table of await tablesIn(holder, aside, projection.tables)) {
    const columns = comparedColumns(table);
    const added = columns.filter((column) => coming.includes(placeOf(table.name, column)));
    if (added.length === 0) continue;
    const isNew = added.length === columns.length;
    const { rows } = await holder.query<{ pages: number }>(
      `select (pg_relation_size($1) / current_setting('block_size')::integer)::integer as pages`,
      [`${aside}.${table.name}`],
    );
    for (let page = 0; page < (rows[0]?.pages ?? 0); page += PAGES)
      await locked((lockMs) =>
        whileStopped(holder, context, lockMs, async () => {
          // By key, since another plan would read the whole table for each part.
          await holder.query('set local enable_hashjoin = off; set local enable_mergejoin = off');
          const part = `e.ctid >= '(${page},0)' and e.ctid < '(${page + PAGES},0)'`;
          await holder.query(
            `update ${schema}.${table.name} f set ${added.map((column) => `${column} = e.${column}`).join()}
             from ${aside}.${table.name} e
             where ${part} and ${sameKey(table, 'e', 'f')}
               and (${added.map((column) => `f.${column}`).join()}) is distinct from (${added.map((column) => `e.${column}`).join()})`,
          );
          if (isNew)
            await holder.query(
              `insert into ${schema}.${table.name} (${columns.join()})
               select ${columns.map((column) => `e.${column}`).join()} from ${aside}.${table.name} e where ${part}
               on conflict do nothing`,
            );
        }),
      );
  }
}
