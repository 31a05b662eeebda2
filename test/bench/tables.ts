import type { ClientBase } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';

/** What a rebuild may find. */
export const TABLE_STATES = ['right', 'empty', 'different'] as const;
export type Tables = (typeof TABLE_STATES)[number];

/** Every row of every table, in columns that indexes have too, as if another version had written the rows. */
const DIFFERENT = [
  `update authors set name_sort = '!' || name_sort, words = words || ' other'`,
  `update books set title_sort = '!' || title_sort`,
  `update author_book set position = position + 1`,
  `update book_words set title_sort = '!' || title_sort, words = words || ' other'`,
];

/** Brings tables that are right into another state. The checkpoint stays, so that a projector has nothing to do. */
export async function prepareTables(client: ClientBase, tables: Tables): Promise<void> {
  const { rows } = await client.query(
    `select to_regclass('catalogue.authors') where to_regclass('catalogue.authors') is not null`,
  );
  if (rows.length === 0) return;
  await client.query('set search_path to catalogue, public');
  if (tables === 'empty') await client.query(`truncate ${catalogue.tables.join()}`);
  if (tables === 'different') {
    for (const statement of DIFFERENT) await client.query(statement);
    for (const table of catalogue.tables) await client.query(`vacuum full ${table}`);
  }
  await client.query('reset search_path');
  await client.query('vacuum analyze');
  await client.query('checkpoint');
}
