import { prepared } from '../../src/postgres/database.js';
import type { Parameters } from '../page.js';
import type { Filter } from './list-statement.js';
import { prefixKey, queryWords, wordsStart } from './search-text.js';

/** Restricts a list by text. */
export interface TextFilter {
  readonly search?: string | undefined;
  readonly prefix?: string | undefined;
}

/**
 * The condition that a column of words has the words of a search, in any order. A search without anything to look for,
 * such as an accent alone, finds nothing.
 */
function wordsIn(column: string, search: string, parameters: Parameters): string {
  const has = (piece: string) => `${column} like ${parameters.add(`%${piece}%`)}`;
  const groups = queryWords(search);
  if (groups.length === 0) return 'false';
  return groups
    .map((ways) => `(${ways.map((way) => way.map(has).join(' and ')).join(' or ')})`)
    .join(' and ');
}

/** A condition on a column of words, and a text that is sorted where such rows are frequent. */
interface Words {
  readonly condition: string;
  readonly home: string;
}

/** The conditions on words: of a search, and of a prefix without letters, since sorting leaves such signs out. */
export function searched({ search, prefix }: TextFilter, column: string, parameters: Parameters): Words[] {
  const start = prefix === undefined ? undefined : wordsStart(prefix);
  return [
    ...(search === undefined
      ? []
      : [{ condition: wordsIn(column, search, parameters), home: prefixKey(search) }]),
    ...(start === undefined
      ? []
      : [{ condition: start && `${column} like ${parameters.add(`${start}%`)}`, home: '' }]),
  ].map(({ condition, home }) => ({ condition: condition || 'false', home }));
}

const TABLES = { 'authors a': 'a.name_sort', 'books b': 'b.title_sort' } as const;
/** Sorts behind every other character. */
const LAST_CHARACTER = '\u{10ffff}';

/**
 * Names or titles that begin with a text of letters and digits. An index has them in their own order.
 * @returns nothing for a prefix without letters and digits: see {@link searched}.
 * @param sorted whether the list is in that order too, so that a walk meets nothing else.
 * @param rows a select of all rows that the list may show.
 */
export function beginsWith(
  table: 'authors a' | 'books b',
  prefix: string,
  sorted: boolean,
  parameters: Parameters,
  rows = `select ${table.slice(-1)}.* from ${table}`,
): Filter[] {
  if (wordsStart(prefix) !== undefined) return [];
  const key = prefixKey(prefix);
  const column = TABLES[table];
  // Not `like`: the planner knows the range of a pattern only while it knows the pattern.
  const condition = `${column} between ${parameters.add(key)} and ${parameters.add(`${key}${LAST_CHARACTER}`)}`;
  if (sorted) return [{ condition, ordered: true }];
  const found = `select ${table.slice(-1)}.* from (${rows}) ${table.slice(-1)} where ${condition}`;
  return [{ condition, steps: [{ rows: found, walk: { rows, condition } }] }];
}

/** The statement of a list. A search has a text of its own, so that the server does not keep it for the next. */
export const statement = (text: string, { search }: TextFilter, values: unknown[]) =>
  search === undefined ? prepared(text, values) : { text, values };
