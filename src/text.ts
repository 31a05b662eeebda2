/** The reason why a text can't be a name or a title. */
export interface TextProblem {
  readonly rule: 'lone-surrogate' | 'control-character' | 'blank' | 'too-long' | 'too-many-marks';
  readonly detail: string;
}

/** Default for the longest name, title or credit, in Unicode code points. Real titles reach 958. */
export const MAX_TEXT_LENGTH = 1_000;

/** A decomposed character has at most this many UTF-16 units. So a longer text is too long, whatever is in it. */
const UNITS_A_CHARACTER = 4;
// A line or paragraph separator becomes one space, with the blanks around: printed titles break lines. An expression
// for blanks before a line break would take quadratic time, so a run of blanks is found first.
const BLANKS = /[\s\u0085]+/gu;
const LINE_BREAK = /[\r\n\u0085\u2028\u2029]/u;
// Normalisation takes quadratic time for a run of marks. The stream-safe format of UAX #15 allows 30, and no script
// needs as many. Only the first mark of a run begins a match.
const MANY_MARKS = /(?<!\p{M})\p{M}{31}/u;
const CONTROL = /\p{Cc}/u;
// A character that a reader can see: no blank, no combining mark on nothing, no character that renders as nothing.
const VISIBLE = /[^\p{White_Space}\p{Cc}\p{Cf}\p{M}\p{Default_Ignorable_Code_Point}\u2800]/u;

/**
 * Trims, folds line breaks to a space and normalises to NFC. Otherwise returns the rule that the text breaks. Takes
 * linear time.
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
  const text = MANY_MARKS.test(trimmed) ? trimmed : foldLineBreaks(trimmed).normalize('NFC');
  if (CONTROL.test(text))
    return { problem: { rule: 'control-character', detail: 'contains a control character' } };
  if (!VISIBLE.test(text)) return { problem: { rule: 'blank', detail: 'has no visible character' } };
  if (MANY_MARKS.test(text))
    return { problem: { rule: 'too-many-marks', detail: 'has more than 30 combining marks in a row' } };
  // The UTF-16 length is never below the number of code points, so most texts need no count.
  return text.length > maxLength && [...text].length > maxLength ? tooLong() : { text };
}

const foldLineBreaks = (text: string): string =>
  LINE_BREAK.test(text)
    ? text.replace(BLANKS, (blanks) => (LINE_BREAK.test(blanks) ? ' ' : blanks)).trim()
    : text;
