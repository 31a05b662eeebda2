import type { Parameters } from '../page.js';
import { searchText } from './search-text.js';

/** What a list may be narrowed to by its text. */
export interface TextFilter {
  readonly search?: string | undefined;
  readonly prefix?: string | undefined;
}

const literal = (text: string): string => searchText(text).replace(/[\\%_]/g, '\\$&');

/** Conditions on a `*_search` column: `search` anywhere in it (by trigrams), `prefix` at its start (by the sort index). */
export function textConditions(
  column: string,
  { search, prefix }: TextFilter,
  parameters: Parameters,
): string[] {
  return [
    ...(search === undefined ? [] : [`${column} like ${parameters.add(`%${literal(search)}%`)}`]),
    ...(prefix === undefined
      ? []
      : [`left(${column}, 200) collate "C" like ${parameters.add(`${literal(prefix)}%`)}`]),
  ];
}
