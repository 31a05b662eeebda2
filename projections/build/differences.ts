import type { ClientBase } from 'pg';
import { describeTable } from './describe-table.js';

/** A row that differs between two schemas. */
export interface Difference {
  readonly table: string;
  /** Values of the primary key columns, by column name. */
  readonly key: Readonly<Record<string, string>>;
  /** The correct row; null if there should be no row. */
  readonly expected: Readonly<Record<string, unknown>> | null;
  readonly found: Readonly<Record<string, unknown>> | null;
}

const PAGE = 500;

/**
 * Every row that differs between the tables of two schemas.
 * @param client in a transaction, which the cursor needs.
 */
export async function* differences(
  client: ClientBase,
  tables: readonly string[],
  expected: string,
  found: string,
): AsyncIterable<Difference> {
  for (const table of tables) {
    const { key, columns } = await describeTable(client, expected, table);
    const same = key.map((column) => `e.${column} = f.${column}`).join(' and ');
    const row = (alias: string) => `(${columns.map((column) => `${alias}.${column}`).join()})`;
    await client.query(
      `declare differences no scroll cursor for
       select to_jsonb(e) as expected, to_jsonb(f) as found
       from ${expected}.${table} e full join ${found}.${table} f on ${same}
       where ${row('e')} is distinct from ${row('f')}`,
    );
    for (;;) {
      const { rows } = await client.query<Pick<Difference, 'expected' | 'found'>>(
        `fetch ${PAGE} from differences`,
      );
      for (const difference of rows) {
        const source = difference.expected ?? difference.found ?? {};
        const keyOf = Object.fromEntries(key.map((column) => [column, String(source[column])]));
        yield { table, key: keyOf, ...difference };
      }
      if (rows.length < PAGE) break;
    }
    await client.query('close differences');
  }
}
