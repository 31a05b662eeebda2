import type { Client } from 'pg';
import type { Target } from '../checkpoint.js';
import { listParked } from '../parking.js';
import { align, NotComparable } from './align.js';
import type { RebuildContext } from './build.js';
import { describeTable } from './describe-table.js';
import type { Difference } from './differences.js';

/** More wrong rows than this are for a rebuild to mend. */
export const MAX_REPAIRS = 100_000;

/** Copies the rows with these keys from the tables aside: what is surplus goes first, what refers comes last. */
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
  // A row of an event that is parked here and not there would be mended, and the event then applied once more.
  if ((await positions(schema)) !== (await positions(aside.schema)))
    throw new NotComparable(
      'not the same events are parked as the log gives: retry those, or rebuild the tables',
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
