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
  /** Counts the rows after the walk only, because most lists are full of them. If they are many, the walk goes to the end. */
  readonly walkedFirst?: boolean;
}

interface Step {
  /** A select of the rows, with the columns that orders and conditions use. */
  readonly rows: string;
  /**
   * The part of the list that the step is about, if the parts stand one after the other: a condition on a row of the
   * list. Without it, rows of all steps may be anywhere in the list.
   */
  readonly range?: string;
  /** What to walk first, because the rows may be frequent here. */
  readonly walk?: Walk;
}

/** Rows of the list that an index has in their order, and the filter's condition on such a row. */
interface Walk {
  readonly rows: string;
  readonly condition: string;
}

interface List {
  /** Such as `books b`. */
  readonly table: 'authors a' | 'books b';
  /** A select of all rows that the list may show, with the columns that orders and conditions use. Default: the table. */
  readonly rows?: string | undefined;
  /** The select list. */
  readonly columns: string;
  readonly order: Order;
  readonly limit: number;
  readonly after: Cursor | undefined;
  /** What can be counted is used if it is little. Otherwise, the first one with steps is. */
  readonly filters: readonly Filter[];
}

/** Up to this number of rows, it is faster to find and sort them than to walk: a row takes some microseconds. */
const FEW = 4_000;
/** How far a walk goes that may be in vain: as long as it takes to find a thousand rows by their words. */
const WALK = 500;
const WALK_FOR_A_ROW = 10;
/**
 * To find all rows takes longer with the number of rows, and to walk until the page is full takes longer the fewer there
 * are. At 1 M books, both take 25 ms if 1.6 % have the words, and a walk for 51 rows then passes 3,100. The number grows
 * with the square root of the page.
 */
const FAR = 440;
/** Where both links and words are many, few rows have both, and to find all of either takes longest. */
const WITH_LINKS = 5;
const ARE_FEW = '(select few from few)';
const MANY = `not ${ARE_FEW}`;

/**
 * The statement for a page of a list. What is frequent is found by walking the list in its order: the page is full
 * after some hundreds of rows. A walk that meets many goes on. If no walk fills the page, an index gives all rows of the
 * first filter, which are sorted.
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
  const counted = filters.find((filter) => filter.counted !== undefined);
  const source = filters.find((filter) => filter.steps && filter !== counted) ?? counted;
  if (!source?.steps) {
    const page = (what: string, from: string) =>
      `select ${what} from ${from} where ${[within, ...all].join(' and ')} ${sorted} limit ${full}`;
    if (list.rows === undefined) return page(columns, table);
    return `select ${columns} from (${page(`${alias}.id`, `(${list.rows}) ${alias}`)}) page
      join ${table} on ${alias}.id = page.id ${sorted}`;
  }
  const pages: string[] = [];
  const queries: string[] = [];
  /** Conditions without which the page is full, or has all there is. */
  const needed: string[] = [];
  const add = (page: string, query: string) => {
    pages.push(page);
    queries.push(`${page} as materialized (${query})`);
  };
  const find = (page: string, { condition: own }: Filter, rows: string, most = 'offset 0') =>
    add(
      page,
      `select ${alias}.id from (${rows} ${most}) ${alias}
       where ${[...needed, within, ...all.filter((condition) => condition !== own)].join(' and ')}
       ${sorted} limit ${full}`,
    );
  const sizeOf = (page: string) => `(select count(*) from ${page})`;

  if (counted?.counted && counted.steps) {
    queries.push(
      `few as materialized (select count(*) <= ${FEW} as few from (${counted.counted} limit ${FEW + 1}) counted)`,
    );
    if (counted !== source) {
      needed.push(ARE_FEW);
      for (const { rows } of counted.steps) find('found_few', counted, rows, `limit ${FEW}`);
      needed.splice(0, 1, MANY);
    }
  }
  const far = Math.round(FAR * Math.sqrt(limit + 1));
  const near = Math.min(far, WALK + WALK_FOR_A_ROW * limit);
  const apart = source.steps.some(({ range }) => range !== undefined);
  const found: string[] = [];
  for (const [index, { rows, range, walk }] of source.steps.entries()) {
    const before = needed.length;
    if (found.length > 0 && apart) needed.push(`${found.map(sizeOf).join(' + ')} < ${full}`);
    const unfilled: string[] = [];
    if (walk) {
      const many = source === counted && !source.walkedFirst ? [MANY] : [];
      const page = (name: string, farthest: number, ...conditions: string[]) => {
        add(
          name,
          `select ${alias}.id
           from (select ${alias}.* from (${walk.rows}) ${alias} where ${[...needed, ...many, ...conditions, ...(range ? [range] : []), within].join(' and ')}
                 ${sorted} limit ${farthest}) ${alias}
           where ${[walk.condition, ...all.filter((condition) => condition !== source.condition)].join(' and ')} ${sorted} limit ${full}`,
        );
        unfilled.push(`${sizeOf(name)} < ${full}`);
      };
      const links = counted ? WITH_LINKS : 1;
      page(`walked_${index}`, near * links);
      page(
        `walked_on_${index}`,
        far * links,
        `${sizeOf(`walked_${index}`)} between ${Math.ceil((near * (limit + 1)) / far)} and ${limit}`,
      );
    }
    needed.push(...unfilled);
    if (walk && source.walkedFirst) {
      const conditions = [...needed, MANY, within, ...all];
      add(
        `walked_far_${index}`,
        `select ${alias}.id from (${walk.rows}) ${alias} where ${conditions.join(' and ')} ${sorted} limit ${full}`,
      );
      needed.push(ARE_FEW);
    }
    find(`found_${index}`, source, rows);
    found.push(`found_${index}`);
    needed.length = before;
    if (apart) needed.push(...unfilled);
  }
  return `with ${queries.join(', ')}
    select ${columns} from (${pages.map((page) => `select id from ${page}`).join(' union ')}) page
    join ${table} on ${alias}.id = page.id ${sorted} limit ${full}`;
}
