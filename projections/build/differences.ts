import { escapeLiteral, type ClientBase } from 'pg';
import { VerificationFailed } from './bulk-load.js';
import { describeTables, type Table } from './describe.js';

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

/** Columns that say when Colophon did something. The same log may give other values. */
const OWN_TIMES = ['parked_at'];

/** The columns of a table that a comparison looks at. */
export const comparedColumns = ({ columns }: Table): string[] =>
  columns.map(({ name }) => name).filter((name) => !OWN_TIMES.includes(name));

/** The condition that two rows have the same primary key. */
export const sameKey = ({ key }: Table, a: string, b: string): string =>
  key.map((column) => `${a}.${column} = ${b}.${column}`).join(' and ');

const row = (table: Table, alias: string): string =>
  `(${comparedColumns(table)
    .map((column) => `${alias}.${column}`)
    .join()})`;

/** Every pair of an expected row `e` and a found row `f` that differ. Either may be missing. */
export const differingRows = (table: Table, expected: string, found: string): string =>
  `from ${expected}.${table.name} e full join ${found}.${table.name} f on ${sameKey(table, 'e', 'f')}
   where ${row(table, 'e')} is distinct from ${row(table, 'f')}`;

/**
 * The tables of a schema with these names, in this order.
 * @throws VerificationFailed if a table is missing.
 */
export async function tablesIn(
  client: ClientBase,
  schema: string,
  names: readonly string[],
): Promise<Table[]> {
  const described = await describeTables(client, schema);
  return names.map((name) => {
    const table = described.get(name);
    if (!table || table.key.length === 0)
      throw new VerificationFailed(`another session dropped ${schema}.${name}, or its primary key`);
    return table;
  });
}

/**
 * Every row that differs between the tables of two schemas. Columns that only the found tables have are left out.
 * @param client in a transaction, which the cursor needs.
 */
export async function* differences(
  client: ClientBase,
  tables: readonly string[],
  expected: string,
  found: string,
): AsyncIterable<Difference> {
  const live = await describeTables(client, found);
  for (const table of await tablesIn(client, expected, tables)) {
    const declared = table.columns.map(({ name }) => name);
    const others = live
      .get(table.name)
      ?.columns.flatMap(({ name }) => (declared.includes(name) ? [] : [name]));
    await client.query(
      `declare differences no scroll cursor for
       select to_jsonb(e) as expected, to_jsonb(f) - array[${(others ?? []).map(escapeLiteral).join()}]::text[] as found
       ${differingRows(table, expected, found)}`,
    );
    for (;;) {
      const { rows } = await client.query<Pick<Difference, 'expected' | 'found'>>(
        `fetch ${PAGE} from differences`,
      );
      for (const difference of rows) {
        const source = difference.expected ?? difference.found ?? {};
        const key = Object.fromEntries(table.key.map((column) => [column, String(source[column])]));
        yield { table: table.name, key, ...difference };
      }
      if (rows.length < PAGE) break;
    }
    await client.query('close differences');
  }
}

/** Whether any row differs. Stops at the first one. */
export async function differ(
  client: ClientBase,
  tables: readonly string[],
  expected: string,
  found: string,
): Promise<boolean> {
  for (const table of await tablesIn(client, expected, tables)) {
    const { rows } = await client.query(`select ${differingRows(table, expected, found)} limit 1`);
    if (rows.length > 0) return true;
  }
  return false;
}
