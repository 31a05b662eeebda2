/** The reason why a text can't be a name or a title. */
export interface TextProblem {
  readonly rule: 'lone-surrogate' | 'control-character' | 'blank' | 'too-long' | 'too-many-marks';
  readonly detail: string;
}

/** Default for the longest name, title or credit, in Unicode code points. Real titles reach 958. */
export const MAX_TEXT_LENGTH = 1_000;

/** A decomposed character has at most this many UTF-16 units. So a longer text is too long, whatever is in it. */
const UNITS_A_CHARACTER = 4;
// A control character that separates becomes one space, with the blanks around: printed titles break lines, and sources
// separate by tabs, form feeds and U+001C to U+001F. An expression for blanks before a separator would take quadratic
// time, so a run of blanks is found first.
const SEPARATORS = '\\t-\\r\\u001c-\\u001f\\u0085\\u2028\\u2029';
const SEPARATOR = new RegExp(`[${SEPARATORS}]`, 'u');
const BLANKS = new RegExp(`[\\s${SEPARATORS}]+`, 'gu');
// Library catalogues mark the part of a title that isn't filed, such as an article: by U+0098 and U+009C, or by U+0088
// and U+0089. Linear: two matches that begin at different marks never look at the same text.
const NON_FILING = /\x98[^\x98\x9c]*\x9c|\x88[^\x88\x89]*\x89/gu;
const NON_FILING_MARKS = /[\x88\x89\x98\x9c]/gu;
// In the wrong encoding, the same as a mark. The marked part is followed by a blank or a capital letter.
const MISREAD_OE = /\x9c(?=\p{Ll})/gu;
// Texts that were read in the wrong encoding have these in place of the punctuation of Windows-1252, as on the web.
const MISREAD = /[\x91-\x97]/gu;
const MEANT = '‘’“”•–—';
/** What most texts don't have: anything to fold or to drop. */
const FOLDED = /[\p{Cc}\u2028\u2029]/u;
// Normalisation takes quadratic time for a run of marks. The stream-safe format of UAX #15 allows 30, and no script
// needs as many. Only the first mark of a run begins a match.
const MANY_MARKS = /(?<!\p{M})\p{M}{31}/u;
const CONTROL = /\p{Cc}/u;
// A character that a reader can see: no blank, no combining mark on nothing, no character that renders as nothing.
const VISIBLE = /[^\p{White_Space}\p{Cc}\p{Cf}\p{M}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** A title, and the text to sort the title by, if that is another. */
export interface Title {
  readonly title: string;
  readonly filedAs?: string | undefined;
}

/**
 * Trims, folds line breaks and tabs to a space, drops marks of parts that aren't filed, repairs misread punctuation, and
 * normalises to NFC. Otherwise returns the rule that the text breaks. Takes linear time.
 * @param maxLength in Unicode code points.
 */
export function normaliseText(
  raw: string,
  maxLength = MAX_TEXT_LENGTH,
): { text: string } | { problem: TextProblem } {
  const trimmed = raw.trim();
  const tooLong = (): { problem: TextProblem } => ({
    problem: { rule: 'too-long', detail: `is longer than ${maxLength} characters` },
  });
  if (trimmed.length > UNITS_A_CHARACTER * maxLength) return tooLong();
  if (!trimmed.isWellFormed())
    return { problem: { rule: 'lone-surrogate', detail: 'contains half of a surrogate pair' } };
  const folded = FOLDED.test(trimmed) ? foldControls(trimmed) : trimmed;
  const text = MANY_MARKS.test(folded) ? folded : folded.normalize('NFC');
  if (CONTROL.test(text))
    return { problem: { rule: 'control-character', detail: 'contains a control character' } };
  if (!VISIBLE.test(text)) return { problem: { rule: 'blank', detail: 'has no visible character' } };
  if (MANY_MARKS.test(text))
    return { problem: { rule: 'too-many-marks', detail: 'has more than 30 combining marks in a row' } };
  // The UTF-16 length is never below the number of code points, so most texts need no count.
  return text.length > maxLength && [...text].length > maxLength ? tooLong() : { text };
}

/** Whether a reader sees nothing of the text. */
export const isBlank = (text: string): boolean => !VISIBLE.test(text);

/**
 * A title is filed as what is left without its marked parts. A mark without its partner says nothing.
 * @param maxLength in Unicode code points.
 */
export function normaliseTitle(raw: string, maxLength = MAX_TEXT_LENGTH): Title | { problem: TextProblem } {
  const whole = normaliseText(raw, maxLength);
  if ('problem' in whole) return whole;
  const title = whole.text;
  const rest = raw.replace(NON_FILING, ' ');
  if (rest === raw) return { title };
  // If nothing is left, the title is filed as it is.
  const filed = normaliseText(rest.replace(BLANKS, ' '), maxLength);
  return 'text' in filed && filed.text !== title ? { title, filedAs: filed.text } : { title };
}

const foldControls = (text: string): string =>
  text
    .replace(NON_FILING, (marked) => marked.slice(1, -1))
    .replace(MISREAD_OE, 'œ')
    .replace(NON_FILING_MARKS, '')
    .replace(MISREAD, (control) => MEANT.charAt(control.charCodeAt(0) - 0x91))
    .replace(BLANKS, (blanks) => (SEPARATOR.test(blanks) ? ' ' : blanks))
    .trim();
