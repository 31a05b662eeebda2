import type { ClientBase } from 'pg';
import type { Tables } from './describe.js';

/** What Colophon made in the schema of the live tables. Every other column and index is of others, and stays. */
export interface Made {
  /** The version whose columns, indexes and keys the tables have. */
  readonly version: number;
  /** Columns, as `table.column`. */
  readonly columns: readonly string[];
  readonly indexes: readonly string[];
  /** Columns of a version to come, whose rows may not be filled yet. */
  readonly coming?: readonly string[];
}

/** What early versions of the catalogue made, without writing it down, and no version has any more. */
const UNRECORDED: Made = {
  version: 0,
  columns: ['authors.name_search', 'books.title_search', 'detached_links.author_id'],
  indexes: [
    'authors_by_name',
    'authors_name_trigrams',
    'books_by_title',
    'books_title_trigrams',
    'detached_links_by_book',
  ],
};

export const placeOf = (table: string, column: string): string => `${table}.${column}`;

export async function readMade(client: ClientBase, schema: string): Promise<Made> {
  // Selects all columns by `*`, because tables of an early version have fewer columns.
  const { rows } = await client.query<{ made?: Made | null }>(`select * from ${schema}.checkpoint limit 1`);
  return rows[0]?.made ?? UNRECORDED;
}

/** What a version makes. */
export function madeOf(tables: Tables, version: number): Made {
  const all = [...tables.values()];
  return {
    version,
    columns: all.flatMap(({ name, columns }) => columns.map((column) => placeOf(name, column.name))),
    indexes: all.flatMap(({ indexes }) => indexes.map(({ name }) => name)),
  };
}

export async function writeMade(client: ClientBase, schema: string, made: Made): Promise<void> {
  await client.query(`update ${schema}.checkpoint set made = $1`, [JSON.stringify(made)]);
}
