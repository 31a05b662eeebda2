import { Json } from '../src/http/json.js';
import type { Problem } from '../src/http/problem.js';
import { invalidRequest } from '../src/http/problem.js';

/** A page of a list. `next` is the cursor of the next page, null on the last page. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

/** The sort order of a list. Ids break ties: the order is total, and each page starts where the previous one ended. */
export interface Order {
  /** SQL expression, exactly as in the index. A text has the collation "C". */
  readonly expression: string;
  readonly type: 'text' | 'timestamptz' | 'integer';
  readonly descending: boolean;
}

/** A place in a list: sort value and id of the last item of a page. */
export type Cursor = readonly [value: string, id: string];

const encode = (sort: string, cursor: Cursor): string =>
  Buffer.from(JSON.stringify([sort, ...cursor])).toString('base64url');

/**
 * @param sort the sort order of the list, which the cursor must name.
 * @throws Problem 400 if the token isn't a cursor of a list in this order.
 */
export function decodeCursor(sort: string, token: string): Cursor {
  try {
    const decoded = JSON.parse(Buffer.from(token, 'base64url').toString()) as unknown[];
    const [madeFor, value, id, ...rest] = decoded;
    const uuid = typeof id === 'string' && /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(id);
    if (madeFor === sort && typeof value === 'string' && !value.includes('\0') && uuid && rest.length === 0) {
      const [field] = sort.replace('-', '').split(' ');
      const valid =
        field === 'createdAt' ? isTimestamp(value) : field !== 'position' || /^\d{1,9}$/.test(value);
      if (valid) return [value, id];
    }
  } catch {
    // Not a cursor: the problem is thrown below.
  }
  throw cursorProblem();
}

/** Accepts only the form that we write, because PostgreSQL and JavaScript parse other forms differently. */
const isTimestamp = (value: string): boolean =>
  !Number.isNaN(Date.parse(value)) && new Date(value).toISOString() === value && !/^[+-]/.test(value);

const cursorProblem = (): Problem =>
  invalidRequest([
    {
      pointer: 'query/after',
      rule: 'cursor',
      detail: 'must be the `next` of a page of this list, in this order',
    },
  ]);

/** Collects a statement's parameters while the text is built. */
export class Parameters {
  readonly values: unknown[] = [];
  add(value: unknown): string {
    return `$${this.values.push(value)}`;
  }
}

/** The number of items of most pages. */
export const USUAL_LIMIT = 50;

/** The clauses of a keyset page: rows after the cursor, in order. One extra row shows whether a next page exists. */
export function keyset(
  order: Order,
  id: string,
  limit: number,
  after: Cursor | undefined,
  parameters: Parameters,
) {
  const { expression, type, descending } = order;
  const direction = descending ? 'desc' : 'asc';
  const where = after
    ? `(${expression}, ${id}) ${descending ? '<' : '>'} (${parameters.add(after[0])}::${type}, ${parameters.add(after[1])}::uuid)`
    : 'true';
  const sorted = `order by ${expression} ${direction}, ${id} ${direction}`;
  // With the usual number in its text, a prepared statement is planned once; otherwise for each page.
  const rows = limit === USUAL_LIMIT ? String(limit + 1) : parameters.add(limit + 1);
  return { where, sorted, rows, tail: `${sorted} limit ${rows}` };
}

/**
 * A row of a list: the item as JSON, and its sort value. A sort value that the item shows is not selected once more.
 * Rows are arrays: making objects takes longer.
 */
export type PageRow = readonly [json: string, key?: string];

/** Like {@link toPage}, for items that are JSON already. */
export function pageJson<Item>(rows: readonly PageRow[], limit: number, sort: string): Json<Page<Item>> {
  const shown = rows.length > limit ? rows.slice(0, limit) : rows;
  const last = rows.length > limit ? shown.at(-1) : undefined;
  const next = last ? JSON.stringify(encode(sort, cursorOf(last))) : 'null';
  return new Json(`{"items":[${shown.map(([json]) => json).join(',')}],"next":${next}}`);
}

function cursorOf([json, key]: PageRow): Cursor {
  const { id, createdAt } = JSON.parse(json) as { id: string; createdAt: string };
  return [key ?? createdAt, id];
}

/** Drops the extra row, and makes the next page's cursor from the last row that stays. */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  sort: string,
  cursorOf: (row: Row) => Cursor,
  toItem: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const next = rows.length > limit && last !== undefined ? encode(sort, cursorOf(last)) : null;
  return { items: shown.map(toItem), next };
}
