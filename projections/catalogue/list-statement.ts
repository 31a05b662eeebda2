import { keyset, type Cursor, type Order, type Parameters } from '../page.js';

/** Restricts a list. */
export interface Filter {
  /** The condition on a row of the list. */
  readonly condition: string;
  /** Whether the rows that fulfil the condition stand together in the list. */
  readonly ordered?: boolean;
  /** How an index gives all rows that fulfil the condition, part after part of the list. */
  readonly steps?: readonly Step[];
  /** A select of as many rows as the steps give, or more, which costs little for each row. */
  readonly counted?: string;
}

interface Step {
  /** A select of the rows, with the columns that orders and conditions use. */
  readonly rows: string;
  /** The condition on a row of the list that it is in this part. Without it, the part is the whole list. */
  readonly range?: string;
  /** Whether to walk first, because the rows may be frequent here. */
  readonly walk: boolean;
}

interface List {
  /** Such as `books b`. */
  readonly table: 'authors a' | 'books b';
  /** The select list. */
  readonly columns: string;
  readonly order: Order;
  readonly limit: number;
  readonly after: Cursor | undefined;
  /** If several filters have steps, the first one's are used. */
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
  const source = filters.find(({ steps }) => steps !== undefined);
  if (!source?.steps)
    return `select ${columns} from ${table} where ${[within, ...all].join(' and ')} ${sorted} limit ${full}`;
  const others = all.filter((condition) => condition !== source.condition);
  const many = source.counted
    ? `(select count(*) > ${FEW} from (${source.counted} limit ${FEW + 1}) counted)`
    : 'true';
  const queries: string[] = [];
  const pages: string[] = [];
  const counts: string[] = [];
  /** Runs only while the page is not full. */
  const add = (name: string, query: (needed: string) => string) => {
    const walked = pages
      .filter((page) => page.startsWith('walked'))
      .map((page) => `(select count(*) from ${page}) < ${full}`);
    const found = counts.length > 0 ? [`${counts.join(' + ')} < ${full}`] : [];
    queries.push(`${name} as materialized (${query([...walked, ...found, 'true'].join(' and '))})`);
    pages.push(name);
  };
  for (const [index, { rows, range = 'true', walk }] of source.steps.entries()) {
    if (walk)
      add(
        `walked_${index}`,
        (needed) => `select ${alias}.id
          from (select ${alias}.* from ${table} where ${needed} and ${many} and ${range} and ${within} ${sorted}
                limit ${WALK + WALK_FOR_A_ROW * limit}) ${alias}
          where ${all.join(' and ')} ${sorted} limit ${full}`,
      );
    add(
      `found_${index}`,
      (needed) => `select ${alias}.id from (${rows} offset 0) ${alias}
        where ${needed} and ${[within, ...others].join(' and ')} ${sorted} limit ${full}`,
    );
    counts.push(`(select count(*) from found_${index})`);
  }
  return `with ${queries.join(', ')}
    select ${columns} from (${pages.map((page) => `select id from ${page}`).join(' union ')}) page
    join ${table} on ${alias}.id = page.id ${sorted} limit ${full}`;
}
