import { keyset, type Cursor, type Order, type Parameters } from '../page.js';

/** Restricts a list. */
export interface Filter {
  /** The condition on a row of the list. */
  readonly condition: string;
  /** Whether the rows that fulfil the condition stand together in the list. */
  readonly ordered?: boolean;
  /** A select of the rows that fulfil the condition, by an index, with the columns that orders and conditions use. */
  readonly rows?: string;
  /** A select of as many rows as `rows` has, or more, which costs little for each row. */
  readonly counted?: string;
}

interface List {
  /** Such as `books b`. */
  readonly table: 'authors a' | 'books b';
  /** The select list. */
  readonly columns: string;
  readonly order: Order;
  readonly limit: number;
  readonly after: Cursor | undefined;
  /** If several filters have `rows`, the first one's are used. */
  readonly filters: readonly Filter[];
}

/** Up to this number of rows, it is faster to find and sort them than to walk: a row takes some microseconds. */
const FEW = 4_000;
/** How far a walk goes: in vain, it costs as much as to find some thousands of rows by their words. */
const WALK = 500;
const WALK_FOR_A_ROW = 10;

/**
 * The statement for a page of a list. What is frequent is found by walking the list in its order: the page is full
 * after some hundreds of rows. If the walk doesn't fill the page, an index gives all rows of the first filter, which are
 * sorted. Either takes a row of every twenty at most: 50,000 of 1 M.
 *
 * The statement leaves the planner no choice. The planner has no statistics for a minute after an import, and knows
 * little about frequent words or roles anyway: it read 1 M books in their order to find a single one, in 10 s.
 * Subqueries with `offset 0` are planned on their own. Selects of a single value instead of `exists` are no joins.
 */
export function listStatement(list: List, parameters: Parameters): string {
  const { table, columns, order, limit, after, filters } = list;
  const alias = table.slice(-1);
  const { where, sorted, rows: full } = keyset(order, `${alias}.id`, limit, after, parameters);
  const within = [where, ...filters.flatMap(({ condition, ordered }) => (ordered ? [condition] : []))].join(
    ' and ',
  );
  const all = filters.flatMap(({ condition, ordered }) => (ordered ? [] : [condition]));
  const source = filters.find(({ rows }) => rows !== undefined);
  if (!source?.rows)
    return `select ${columns} from ${table} where ${[within, ...all].join(' and ')} ${sorted} limit ${full}`;
  const others = all.filter((condition) => condition !== source.condition);
  const many = source.counted
    ? `(select count(*) > ${FEW} from (${source.counted} limit ${FEW + 1}) counted)`
    : 'true';
  return `with walked as materialized (
      select ${alias}.id
      from (select ${alias}.* from ${table} where ${many} and ${within} ${sorted}
            limit ${WALK + WALK_FOR_A_ROW * limit}) ${alias}
      where ${all.join(' and ')} ${sorted} limit ${full}
    ), found as materialized (
      select ${alias}.id from (${source.rows} offset 0) ${alias}
      where (select count(*) from walked) < ${full} and ${[within, ...others].join(' and ')} ${sorted} limit ${full}
    )
    select ${columns} from (select id from walked union select id from found) page
    join ${table} on ${alias}.id = page.id ${sorted} limit ${full}`;
}
