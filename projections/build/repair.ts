import type { Client } from 'pg';
import type { Target } from '../checkpoint.js';
import { listParked } from '../parking.js';
import { align, NotComparable } from './align.js';
import type { RebuildContext } from './build.js';
import { describeTable } from './describe-table.js';
import type { Difference } from './differences.js';

/** Largest number of rows to repair. More wrong rows need a rebuild. */
export const MAX_REPAIRS = 100_000;

/** Copies the rows with these keys from the shadow. Deletes surplus rows first, and inserts referring rows last. */
export async function repair(
  holder: Client,
  worker: Client,
  context: RebuildContext,
  aside: Target,
  wrong: ReadonlyMap<string, readonly Difference['key'][]>,
  count: number,
): Promise<void> {
  if (count > MAX_REPAIRS) throw new NotComparable(`${count} rows differ: rebuild the tables`);
  const { schema, projection } = context.target;
  await align(holder, worker, context, aside);
  const positions = async (of: string) =>
    (await listParked(holder, of)).map(({ position }) => position).join();
  // If an event is parked only in the live tables, a repair would add its row, and a later retry would apply the event
  // twice.
  if ((await positions(schema)) !== (await positions(aside.schema)))
    throw new NotComparable(
      'the tables and the log differ in parked events: retry the parked events, or rebuild the tables',
    );
  const steps = await Promise.all(
    projection.tables.map(async (table) => {
      const { key, columns } = await describeTable(holder, aside.schema, table);
      return { table, key, columns, rows: JSON.stringify(wrong.get(table) ?? []) };
    }),
  );
  const keyed = (table: string) => `jsonb_populate_recordset(null::${aside.schema}.${table}, $1)`;
  const on = (key: string[], a: string, b: string) =>
    key.map((name) => `${a}.${name} = ${b}.${name}`).join(' and ');
  for (const { table, key, rows } of steps.toReversed())
    await holder.query(
      `delete from ${schema}.${table} t using ${keyed(table)} k where ${on(key, 't', 'k')}
       and not exists (select from ${aside.schema}.${table} e where ${on(key, 'e', 'k')})`,
      [rows],
    );
  for (const { table, key, columns, rows } of steps)
    await holder.query(
      `insert into ${schema}.${table} (${columns.join()})
       select ${columns.map((column) => `e.${column}`).join()} from ${aside.schema}.${table} e
       join ${keyed(table)} k on ${on(key, 'e', 'k')}
       on conflict (${key.join()}) do update set ${columns.map((column) => `${column} = excluded.${column}`).join()}`,
      [rows],
    );
  await holder.query('commit');
}
