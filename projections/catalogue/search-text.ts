/**
 * Converts a text for search and sorting: compatibility-decomposed, without accents, in lower case. Both sides of a
 * search are converted, so that `GARCÍA` finds `Garcia`. Letters without a decomposition are replaced from a list.
 */
export function searchText(text: string): string {
  const folded = text.normalize('NFKD').replace(MARKS, '').toLowerCase().replace(MARKS, '');
  return folded.replace(LETTERS, (letter) => PLAIN[letter] ?? letter);
}

const MARKS = /\p{M}/gu;
const PLAIN: Record<string, string> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ł: 'l',
  ı: 'i',
};
const LETTERS = new RegExp(`[${Object.keys(PLAIN).join('')}]`, 'gu');
