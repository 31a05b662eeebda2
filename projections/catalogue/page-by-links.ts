import { escapeLiteral } from 'pg';
import type { Role } from '../../src/books/roles.js';

/**
 * Up to this number of links, it is faster to sort what the links name than to look for it in the sorted list. Of 1 M
 * books, 4,000 in a role take about 100 ms either way; one or half a million take some milliseconds.
 */
const FEW = 4_000;

/**
 * A page of the books or authors that have a link of some kind. If there are few such links, an index of links gives
 * the rows, which are then sorted. Otherwise the list is read in its order, and soon has enough rows with such a link.
 *
 * The server counts before it chooses. The planner can't: it has no statistics for a minute after an import, and read
 * the list of 1 M books in its order to find a single one, in 10 s.
 * @param table such as `books b`.
 * @param link the column of `author_book` that names a row of the table.
 * @param kind a condition on the link `l`.
 * @param page makes the statement for a page, from a source of rows and a condition.
 */
export function pageByLinks(
  table: 'authors a' | 'books b',
  link: 'author_id' | 'book_id',
  kind: string,
  page: (source: string, condition: string) => string,
): string {
  const alias = table.slice(-1);
  const few = `(select count(*) <= ${FEW} from hits)`;
  // Behind `offset 0`, the rows are found before they are sorted. PostgreSQL 15 doesn't see that ids of a partitioned
  // table are unique, expects any number of rows, and would read the list in its order: 400 ms instead of 20.
  const rows = `select ${alias}.* from (select distinct id from hits) hit join ${table} on ${alias}.id = hit.id offset 0`;
  const found = page(`(${rows}) ${alias}`, few);
  // Not `exists`: without statistics, the planner would join and sort all that have such a link, in 6 s.
  const hasLink = `(select true from author_book l where l.${link} = ${alias}.id and ${kind} limit 1)`;
  const looked = page(table, `not ${few} and ${hasLink}`);
  // One of both pages is empty, and costs nothing.
  return `with hits as materialized (
      select l.${link} as id from author_book l where ${kind} limit ${FEW + 1}
    ) (${found}) union all (${looked})`;
}

/** The role is part of the text, so that the planner knows how frequent the role is. */
export const inRole = (role: Role): string => `l.roles @> array[${escapeLiteral(role)}]`;
