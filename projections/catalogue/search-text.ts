import { foldText } from './fold-text.js';

/** Ways to write the same words. A text matches if its {@link searchWords} contain every piece of one way. */
export type QueryGroup = readonly (readonly string[])[];

/**
 * The words of a text, for searching: the distinct words, each as {@link storedForms} writes it. Empty if there is
 * nothing to search for.
 */
export function searchWords(text: string): string {
  const folded = foldText(text);
  if (SIMPLE.test(folded) && !INITIALS.test(folded)) return simpleWords(folded);
  // First, so that the words begin as the text does: see wordsStart.
  const words = new Set(folded.trimStart().match(LEADING_RUN));
  for (const group of groupsOf(folded)) {
    for (const way of waysToWrite(group)) for (const word of way) words.add(word);
    // A query such as `CS Lewis` looks for two letters at the start of a word, and the text may say `A C. S. Lewis`.
    const parts = group.flat();
    for (let index = 1; index < parts.length; index += 1) {
      const [first = '', second = ''] = parts.slice(index - 1, index + 1);
      if (INITIAL.test(first) && INITIAL.test(second)) words.add(joined([first, second]));
    }
  }
  for (const run of punctuationOf(folded)) words.add(run);
  return [...words].flatMap(storedForms).join('');
}

/** Words of ASCII with nothing inside and nothing before them, as in most titles. */
const SIMPLE = /^(?:[a-z\d]+[,.:;!?]*(?: |$))+$/;
/** Letters that stand together may be the initials of a name. */
const INITIALS = /(?:^| )[a-z][,.:;!?]* [a-z](?![a-z\d])/;
const BETWEEN_SIMPLE = /[,.:;!? ]+/;

/** The same in a third of the time. */
function simpleWords(folded: string): string {
  let words = '';
  for (const word of new Set(folded.split(BETWEEN_SIMPLE))) if (word !== '') words += ` ${word}`;
  for (const run of new Set(punctuationOf(folded))) words += storedForms(run).join('');
  return words;
}

/**
 * The words of a query. A text matches if every group matches, in any order. No groups: nothing to search for.
 * Punctuation counts only in a query of punctuation alone.
 *
 * One or two letters match only at the start of a word, in scripts that separate words: the index has nothing shorter,
 * and `J. R. Rost` should not find every Rost with a J and an R in the name.
 */
export function queryWords(text: string): QueryGroup[] {
  const folded = foldText(text);
  const groups = groupsOf(folded);
  const pieces = (word: string): string[] =>
    UNSPACED_LETTER.test(word) || [...word.slice(0, 5)].length > 2 ? forms(word) : storedForms(word);
  if (groups.length === 0) return punctuationOf(folded).map((run) => [forms(run)]);
  return groups.map((group) => {
    const parts = group.flat();
    const isInitials =
      parts.length > 1 && parts.every((part) => INITIAL.test(part) && !UNSPACED_LETTER.test(part));
    const ways = new Map(waysToWrite(group).map((way) => [way.join(' '), way]));
    // The initials `E. A. T.` are not in the middle of `Beatrice`.
    return [...ways.values()].map((way) => [...new Set(way)].flatMap(isInitials ? storedForms : pieces));
  });
}

/**
 * How the words of a text begin that begins with these signs, without letters or digits; undefined if there are any.
 * Empty if there is nothing to look for.
 */
export function wordsStart(signs: string): string | undefined {
  const folded = foldText(signs);
  if (/[\p{L}\p{N}]/u.test(folded)) return undefined;
  const [first = ''] = folded
    .split(BLANKS)
    .filter((chunk) => BETWEEN_START.test(chunk) || partsOf(chunk).length > 0);
  return first && storedForms(first).join('');
}

/**
 * The text for sorting: {@link prefixKey}, then a tab and the text as it stands, which orders what folds to the same.
 * At most 200 characters of each, because an entry of an index has room for 2,700 bytes.
 */
export const sortKey = (text: string): string => `${prefixKey(text)}\t${start(text)}`;

/** The start of a {@link sortKey}: the folded text from the first letter or digit, without punctuation. */
export function prefixKey(text: string): string {
  const folded = foldText(text);
  const words = folded.replace(/'/g, '').replace(BETWEEN_PARTS, ' ').replace(BEFORE_WORDS, '');
  return start(words || folded.replace(BLANKS, ' ').trimStart()).trimEnd();
}

const MAX_KEY_LENGTH = 200;
const start = (text: string): string =>
  text.length <= MAX_KEY_LENGTH
    ? text
    : [...text.slice(0, 2 * MAX_KEY_LENGTH)].slice(0, MAX_KEY_LENGTH).join('');

// A braille blank shows nothing, but is no white space for Unicode.
const BLANK = '\\p{White_Space}\\u2800';
const BLANKS = new RegExp(`[${BLANK}]+`, 'gu');

// What stands between the parts of a word: punctuation, and symbols that look like it. A number sign is a symbol: C#.
const PUNCTUATION = '\\p{P}=<>|\u2044\u2215\u2216\u2223\u2236\u2219\u22c5';
const BETWEEN = `(?:(?!#)[${PUNCTUATION}])`;
const BETWEEN_RUN = new RegExp(`${BETWEEN}+`, 'gu');
const LEADING_RUN = new RegExp(`^${BETWEEN}+`, 'u');
const BETWEEN_START = new RegExp(`^${BETWEEN}`, 'u');
const punctuationOf = (folded: string): readonly string[] => folded.match(BETWEEN_RUN) ?? [];
const BETWEEN_PARTS = new RegExp(`(?:(?!#)[${PUNCTUATION}${BLANK}])+`, 'gu');
const BEFORE_WORDS = new RegExp(`^[${PUNCTUATION}${BLANK}\\p{S}]+`, 'u');
const SYMBOL = `(?:(?!${BETWEEN})[\\p{S}#])`;

/** Scripts that don't put a blank between words, or that put names together. */
const UNSPACED = [
  ...[
    'Han',
    'Hiragana',
    'Katakana',
    'Bopomofo',
    'Hangul',
    'Yi',
    'Thai',
    'Lao',
    'Khmer',
    'Myanmar',
    'Tibetan',
  ],
  ...['Javanese', 'Balinese', 'Tai_Le', 'New_Tai_Lue', 'Tai_Tham'],
]
  .map((script) => `\\p{Script_Extensions=${script}}`)
  .join('');
const LETTER = `(?![${PUNCTUATION}\\p{S}])`;
const UNSPACED_LETTER = new RegExp(`${LETTER}(?!\\p{M})[${UNSPACED}]`, 'u');

/** A part: symbols, letters of a script that doesn't separate words, or other letters and digits. */
const PART = new RegExp(
  [
    `${SYMBOL}+`,
    `(?:${LETTER}[${UNSPACED}])(?:${LETTER}[${UNSPACED}\\p{M}])*`,
    `(?:${LETTER}[^${UNSPACED}])(?:${LETTER}(?:[^${UNSPACED}]|\\p{M}))*`,
  ].join('|'),
  'gu',
);

/** Most words: to find their parts takes longer than everything else. */
const PLAIN = /^[a-z\d]+$/;
const partsOf = (chunk: string): string[] => (PLAIN.test(chunk) ? [chunk] : (chunk.match(PART) ?? []));

/** A letter with its marks, such as an initial of a name. */
const INITIAL = /^\p{L}\p{M}*$/u;

/** What stands between two blanks, as its parts: `Jean-Paul` is a chunk of two parts. */
type Chunk = readonly string[];

/** Chunks of initials that stand together, such as `J. R. R.`, or one other chunk. */
type Group = readonly Chunk[];

function groupsOf(folded: string): Group[] {
  const chunks = folded
    .split(BLANKS)
    .map(partsOf)
    .filter((parts) => parts.length > 0);
  const groups: Chunk[][] = [];
  let initials: Chunk[] | undefined;
  for (const chunk of chunks) {
    const isInitials = chunk.every((part) => INITIAL.test(part));
    if (isInitials && initials) initials.push(chunk);
    else groups.push([chunk]);
    initials = isInitials ? groups.at(-1) : undefined;
  }
  return groups;
}

/** The words of a group, from all in one word to each part as a word. */
function waysToWrite(group: Group): (readonly string[])[] {
  const parts = group.flat();
  if (parts.length === 1) return [parts];
  return [[joined(parts)], group.map(joined), group.flatMap(initialsJoined), parts];
}

/** Joined parts may compose to other characters, such as a syllable of Korean. */
const joined = (parts: readonly string[]): string => parts.join('').normalize('NFC');

/** `J.K.Rowling` becomes `jk` and `rowling`. */
function initialsJoined(chunk: Chunk): string[] {
  const words: string[][] = [];
  let initials: string[] | undefined;
  for (const part of chunk) {
    const isInitial = INITIAL.test(part);
    if (isInitial && initials) initials.push(part);
    else words.push([part]);
    initials = isInitial ? words.at(-1) : undefined;
  }
  return words.map(joined);
}

// The trigram index knows the letters of the database's locale, which may be those of ASCII alone. So a word with other
// characters has a form in ASCII, for the index.
const CODED = /[^a-z\d]/gu;
/** Letters of scripts that separate words, outside ASCII. */
const SPACED_LETTER = new RegExp(`(?![a-z\\d])${LETTER}[^${UNSPACED}]`, 'u');
const codeOf = (character: string): string =>
  PLAIN.test(character) || SPACED_LETTER.test(character) ? shortCode(character) : longCode(character);

/**
 * How the words of a text contain a word: each form after a sign that shows where a word begins. A form that begins
 * with a code has a slash and a zero: otherwise the index would take the code for a word that begins with that letter.
 */
function storedForms(word: string): string[] {
  if (PLAIN.test(word)) return [` ${word}`];
  const [coded = '', ...exact] = forms(word);
  return [/^[a-z]/.test(coded) ? ` ${coded}` : `/0${coded}`, ...exact.map((form) => ` ${form}`)];
}

/**
 * The forms of a word, all of which a text with the word contains. If a letter has a {@link shortCode}, the word as it
 * stands is one of them, because other letters have the same code.
 */
function forms(word: string): string[] {
  if (PLAIN.test(word)) return [word];
  if (!SPACED_LETTER.test(word)) return [word.replace(CODED, longCode)];
  return [word.replace(/./gsu, codeOf), word];
}

/** Letters that begin a code. No code is inside another one, or across two: other letters continue a code. */
const CODES = [
  { leads: 'ABC', digits: 2 }, // up to Cyrillic
  { leads: 'D', digits: 3 },
  { leads: 'E', digits: 4 }, // Han, Hangul and kana
  { leads: 'F', digits: 5 },
] as const;
const DIGITS = 'GHIJKLMNOPQRSTUVWXYZ';

/** The code of a character that is searched alone: the index has nothing shorter than three letters. */
function longCode(character: string): string {
  let rest = character.codePointAt(0) ?? 0;
  for (const { leads, digits } of CODES) {
    const room = DIGITS.length ** digits;
    if (rest < leads.length * room) {
      let code = '';
      for (let value = rest; code.length < digits; value = Math.floor(value / DIGITS.length))
        code = `${DIGITS[value % DIGITS.length]}${code}`;
      return `${leads[Math.floor(rest / room)]}${code}`;
    }
    rest -= leads.length * room;
  }
  throw new RangeError(`${character} is no character`);
}

const CAPITALS = 26;
/**
 * A digit and a capital. Three letters of the index then span two letters of the word, and are never those of a Latin
 * word. With longer codes, which fit each letter, the index gave five times as many rows in vain.
 */
function shortCode(letter: string): string {
  const code = letter.codePointAt(0) ?? 0;
  return `${Math.floor(code / CAPITALS) % 10}${String.fromCharCode(65 + (code % CAPITALS))}`;
}
