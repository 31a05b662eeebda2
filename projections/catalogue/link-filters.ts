import { escapeLiteral } from 'pg';
import type { Role } from '../../src/books/roles.js';
import type { Parameters } from '../page.js';
import type { Filter } from './list-statement.js';

/** The columns of `author_book` that name a row of the table, and of the other table. */
const COLUMNS = {
  'authors a': { own: 'author_id', other: 'book_id' },
  'books b': { own: 'book_id', other: 'author_id' },
} as const;

/** Authors of a book, or books of an author; with a role, only in that role. */
export function linkedTo(
  table: keyof typeof COLUMNS,
  other: string,
  role: Role | undefined,
  parameters: Parameters,
): Filter {
  const columns = COLUMNS[table];
  const inThisRole = role === undefined ? '' : ` and ${parameters.add(role)} = any(l.roles)`;
  return links(table, `l.${columns.other} = ${parameters.add(other)}${inThisRole}`);
}

/** Authors or books that have a link in a role. */
export const inRole = (table: keyof typeof COLUMNS, role: Role): Filter =>
  // The role is part of the text, so that the planner knows how frequent the role is.
  links(table, `l.roles @> array[${escapeLiteral(role)}]`);

function links(table: keyof typeof COLUMNS, condition: string): Filter {
  const alias = table.slice(-1);
  const { own } = COLUMNS[table];
  const linked = `(select true from author_book l where l.${own} = ${alias}.id and ${condition} limit 1)`;
  return {
    condition: linked,
    steps: [
      {
        rows: `select ${alias}.* from (select distinct l.${own} as id from author_book l where ${condition}) hit
               join ${table} on ${alias}.id = hit.id`,
        walk: { rows: `select ${alias}.* from ${table}`, condition: linked },
      },
    ],
    counted: `select from author_book l where ${condition}`,
  };
}
