import anyAscii from 'any-ascii';

/**
 * Folds a text for search and sorting: two texts that a reader takes for the same get the same folded text. Letters lose
 * case, accents and ligatures, digits become ASCII, every quotation mark, apostrophe and prime becomes `'`, every dash
 * becomes `-`. What shows nothing goes. Other punctuation, symbols and white space stay. Takes linear time.
 */
export function foldText(text: string): string {
  if (PLAIN.test(text)) return text.toLowerCase();
  return text
    .replace(SOFT_HYPHENS, APOSTROPHE)
    .replace(INVISIBLE, '')
    .replace(MANY_MARKS, '$1')
    .replace(SPACING_ACCENT, (accent) => VOICING[accent] ?? APOSTROPHE)
    .normalize('NFKD')
    .replace(TONE_IN_AM, '$2$1')
    .replace(QUOTES, APOSTROPHE)
    .replace(DASHES, '-')
    .replace(MARKS, withoutAccents)
    .replace(TATWEEL, '')
    .toUpperCase()
    .toLowerCase()
    .replace(VARIANTS, (letter) => VARIANT[letter] ?? letter)
    .replace(SPECIAL, inAscii)
    .normalize('NFC');
}

const APOSTROPHE = "'";

/** Most texts: what follows would only change their case. */
const PLAIN = /^[a-z\d !#$%&'()*+,\-./:;=?@]*$/i;

// A soft hyphen shows nothing, but some write one for a hyphen. Like an apostrophe, it makes two parts of one word.
const SOFT_HYPHENS = /(?<=[\p{L}\p{M}\p{N}])\u00ad+(?=[\p{L}\p{N}])/gu;

// Controls other than white space, and halves of surrogate pairs, come from other programs that write into the log.
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cs}]|(?!\p{White_Space})\p{Cc}/gu;

// Normalisation takes quadratic time for a run of marks: see normaliseText, which refuses more. The marks
// of kana have forms that are marks only when they are normalised.
const MANY_MARKS = /([\p{M}\u309b\u309c\uff9e\uff9f]{30})[\p{M}\u309b\u309c\uff9e\uff9f]+/gu;

// Normalisation would make a blank and a mark of an accent that stands alone, such as U+00B4.
const SPACING_ACCENT = /\p{Sk}/gu;
/** Those of kana are typed after a letter, and belong to it. */
const VOICING: Record<string, string> = { '\u309b': '\u3099', '\u309c': '\u309a' };

// Primes; spacing modifier letters, such as those for ayn, hamza and okina; letters for clicks, typed as ! and |; the
// geresh and apostrophes of Hebrew, Armenian and N'Ko.
const QUOTES =
  /[\p{Quotation_Mark}\u2032\u2035\u02b0-\u02ff\ua717-\ua71f\ua788\u01c0-\u01c3\u05f3\u05f4\u0559\u055a\u07f4\u07f5\u275b-\u2760]/gu;

// The tilde is a wave dash on Windows, and box drawings are dashes in Chinese.
const DASHES = /[\p{Dash}~\u223c\u2500\u2501]/gu;

const MARKS = /(\P{M}?)\p{M}+/gu;
const LETTER = /\p{L}/u;
/** Marks on these are accents or optional vowels. In other scripts, marks are vowels or make another letter. */
const ACCENTED =
  /[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Hebrew}\p{Script=Arabic}\u0640]/u;

const withoutAccents = (marked: string, base: string): string =>
  LETTER.test(base) && !ACCENTED.test(base) ? marked : base;

/** Stretches a word of Arabic. */
const TATWEEL = /\u0640/g;

// Thai and Lao: normalisation makes two marks of the vowel am, and a tone mark may be written on either side.
const TONE_IN_AM = /([\u0e48-\u0e4b\u0ec8-\u0ecb])([\u0e4d\u0ecd])/gu;

/** Letters that look like others of their script, and have no decomposition. */
const VARIANT: Record<string, string> = {
  ς: 'σ',
  ى: 'ي',
  ی: 'ي',
  ک: 'ك',
  ڪ: 'ك',
  ہ: 'ه',
  ە: 'ه',
  ٱ: 'ا',
  ھ: 'ه',
  ۃ: 'ة',
  // Two letters of Yiddish in one.
  װ: 'וו',
  ױ: 'וי',
  ײ: 'יי',
  // A consonant without its vowel, in Malayalam and Bengali.
  ൺ: 'ണ്',
  ൻ: 'ന്',
  ർ: 'ര്',
  ൽ: 'ല്',
  ൾ: 'ള്',
  ൿ: 'ക്',
  ৎ: 'ত্',
  '\u266f': '#', // C♯
};
const VARIANTS = new RegExp(`[${Object.keys(VARIANT).join('')}]`, 'gu');

// Letters such as æ, ø, ł and ı have no decomposition. Digits of other scripts have none either.
const SPECIAL = /(?![a-z\d])[\p{Script=Latin}\p{N}]/gu;

const known = new Map<string, string>();
function inAscii(character: string): string {
  let ascii = known.get(character);
  if (ascii === undefined) known.set(character, (ascii = transliterated(character)));
  return ascii;
}

function transliterated(character: string): string {
  const name = anyAscii(character).toLowerCase();
  const plain = name.replace(/[^a-z\d]/g, '');
  // A number such as a Han numeral is a word of its language.
  if (/\p{N}/u.test(character)) return plain === name && /^\d+$/.test(plain) ? plain : character;
  if (plain) return plain;
  // The glottal stop is a letter in some languages, and an apostrophe in others.
  return name ? APOSTROPHE : character;
}
