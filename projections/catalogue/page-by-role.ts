import { escapeLiteral } from 'pg';
import type { Role } from '../../src/books/roles.js';

/**
 * Up to this number of links, it is faster to sort what has the role than to look for it in the sorted list. Of 1 M
 * books, 4,000 in a role take about 100 ms either way; one or half a million take some milliseconds.
 */
const FEW = 4_000;

/**
 * A page of the books or authors that have a link in a role. If few links have the role, the index of roles gives the
 * rows, which are then sorted. Otherwise the list is read in its order, and soon has enough rows with the role.
 *
 * The server counts before it chooses. The planner can't: it has no statistics for a minute after an import, and read
 * the list of 1 M books in its order to find a single one, in 10 s. The role is part of the text, so that the planner
 * knows how frequent the role is.
 * @param table such as `books b`.
 * @param link the column of `author_book` that names a row of the table.
 * @param page makes the statement for a page, from a source of rows and a condition.
 */
export function pageByRole(
  table: 'authors a' | 'books b',
  link: 'author_id' | 'book_id',
  role: Role,
  page: (source: string, condition: string) => string,
): string {
  const alias = table.slice(-1);
  const inRole = `l.roles @> array[${escapeLiteral(role)}]`;
  const few = `(select count(*) <= ${FEW} from hits)`;
  const found = page(`(select distinct id from hits) hit join ${table} on ${alias}.id = hit.id`, few);
  // Not `exists`: without statistics, the planner would join and sort all that have the role, in 6 s.
  const hasRole = `(select true from author_book l where l.${link} = ${alias}.id and ${inRole} limit 1)`;
  const looked = page(table, `not ${few} and ${hasRole}`);
  // One of both pages is empty, and costs nothing.
  return `with hits as materialized (
      select l.${link} as id from author_book l where ${inRole} limit ${FEW + 1}
    ) (${found}) union all (${looked})`;
}
