import { prepared } from '../../src/postgres/database.js';
import type { Parameters } from '../page.js';
import { prefixKey, queryWords, type QueryWord } from './search-text.js';

/** Restricts a list by text. */
export interface TextFilter {
  readonly search?: string | undefined;
  readonly prefix?: string | undefined;
}

/**
 * Conditions on a row's text: `search` for its words in any order, and `prefix` for its start. A text without anything
 * to look for, such as an accent alone, finds nothing.
 * @param words the column of words, with an index of trigrams.
 * @param sort the column that lists are sorted by.
 */
export function textConditions(
  words: string,
  sort: string,
  { search, prefix }: TextFilter,
  parameters: Parameters,
): string[] {
  return [
    ...(search === undefined ? [] : wordConditions(words, search, parameters)),
    ...(prefix === undefined ? [] : [prefixCondition(sort, prefix, parameters)]),
  ];
}

function wordConditions(column: string, search: string, parameters: Parameters): string[] {
  const has = ({ word, anywhere }: QueryWord) =>
    `${column} like ${parameters.add(anywhere ? `%${word}%` : `% ${word}%`)}`;
  const groups = queryWords(search);
  if (groups.length === 0) return ['false'];
  return groups.map((ways) => `(${ways.map((way) => way.map(has).join(' and ')).join(' or ')})`);
}

function prefixCondition(column: string, prefix: string, parameters: Parameters): string {
  const key = prefixKey(prefix);
  if (key === '') return 'false';
  const like = (pattern: string) => `${column} like ${parameters.add(`${pattern}%`)}`;
  const start = like(literal(key));
  // Texts are sorted without the punctuation that they begin with. It is in the text as it stands, after the tab.
  return /[\p{L}\p{N}]/u.test(key) ? start : `(${start} or ${like(`%\t${literal(prefix.trim())}`)})`;
}

const literal = (text: string): string => text.replace(/[\\%_]/g, '\\$&');

/** The statement of a list. A search has a text of its own, so that the server does not keep it for the next. */
export const statement = (text: string, { search }: TextFilter, values: unknown[]) =>
  search === undefined ? prepared(text, values) : { text, values };
