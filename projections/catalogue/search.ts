import { prepared } from '../../src/postgres/database.js';
import type { Parameters } from '../page.js';
import type { Filter } from './list-statement.js';
import { prefixKey, queryWords, type QueryWord } from './search-text.js';

/** Restricts a list by text. */
export interface TextFilter {
  readonly search?: string | undefined;
  readonly prefix?: string | undefined;
}

/**
 * The condition that a column of words has the words of a search, in any order. A search without anything to look for,
 * such as an accent alone, finds nothing.
 */
export function wordsIn(column: string, search: string, parameters: Parameters): string {
  const has = ({ word, anywhere }: QueryWord) =>
    `${column} like ${parameters.add(anywhere ? `%${word}%` : `% ${word}%`)}`;
  const groups = queryWords(search);
  if (groups.length === 0) return 'false';
  return groups
    .map((ways) => `(${ways.map((way) => way.map(has).join(' and ')).join(' or ')})`)
    .join(' and ');
}

const isPunctuation = (text: string): boolean => !/[\p{L}\p{N}]/u.test(text);

/** The texts whose words a row has: the search, and a prefix that only the index of words can find. */
export const searched = ({ search, prefix }: TextFilter): string[] =>
  [search, prefix !== undefined && isPunctuation(prefix) ? prefix : undefined].filter(
    (text) => text !== undefined,
  );

const TABLES = { 'authors a': 'a.name_sort', 'books b': 'b.title_sort' } as const;
/** Sorts behind every other character. */
const LAST_CHARACTER = '\u{10ffff}';

/**
 * Names or titles that begin with a text. An index has them in their own order.
 * @param sorted whether the list is in that order too, so that a walk meets nothing else.
 */
export function beginsWith(
  table: 'authors a' | 'books b',
  prefix: string,
  sorted: boolean,
  parameters: Parameters,
): Filter {
  const key = prefixKey(prefix);
  if (key === '') return { condition: 'false' };
  const column = TABLES[table];
  // Not `like`: the planner knows the range of a pattern only while it knows the pattern.
  const condition = `${column} between ${parameters.add(key)} and ${parameters.add(`${key}${LAST_CHARACTER}`)}`;
  if (isPunctuation(prefix)) {
    // Texts are sorted without the punctuation that they begin with. It is in the text as it stands, after the tab.
    const start = prefix.trim().replace(/[\\%_]/g, '\\$&');
    return { condition: `(${condition} or ${column} like ${parameters.add(`%\t${start}%`)})` };
  }
  if (sorted) return { condition, ordered: true };
  return {
    condition,
    steps: [{ rows: `select ${table.slice(-1)}.* from ${table} where ${condition}`, walk: true }],
  };
}

/** The statement of a list. A search has a text of its own, so that the server does not keep it for the next. */
export const statement = (text: string, { search }: TextFilter, values: unknown[]) =>
  search === undefined ? prepared(text, values) : { text, values };
