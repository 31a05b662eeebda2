import type { Parameters } from '../page.js';
import { searchText } from './search-text.js';

/** Restricts a list by text. */
export interface TextFilter {
  readonly search?: string | undefined;
  readonly prefix?: string | undefined;
}

const literal = (text: string): string => searchText(text).replace(/[\\%_]/g, '\\$&');

/** Conditions on texts: `search` anywhere (trigram index), `prefix` at the start of what lists are sorted by. */
export function textConditions(
  column: string,
  sort: string,
  { search, prefix }: TextFilter,
  parameters: Parameters,
): string[] {
  return [
    ...(search === undefined ? [] : [`${column} like ${parameters.add(`%${literal(search)}%`)}`]),
    ...(prefix === undefined
      ? []
      : [`left(${sort}, 200) collate "C" like ${parameters.add(`${literal(prefix)}%`)}`]),
  ];
}
