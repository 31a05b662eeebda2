/** The reason why a text can't be a name or a title. */
export interface TextProblem {
  readonly rule: 'lone-surrogate' | 'control-character' | 'blank' | 'too-long';
  readonly detail: string;
}

/** Default for the longest name, title or credit, in Unicode code points. Real titles reach 958. */
export const MAX_TEXT_LENGTH = 1_000;

// A line or paragraph separator becomes one space, with the blanks around: printed titles break lines.
const LINE_BREAKS = /[^\S\r\n\u0085\u2028\u2029]*(?:\r\n|[\r\n\u0085\u2028\u2029])\s*/gu;
const CONTROL = /\p{Cc}/u;
// A character that a reader can see: no blank, no combining mark on nothing, no character that renders as nothing.
const VISIBLE = /[^\p{White_Space}\p{Cc}\p{Cf}\p{M}\p{Default_Ignorable_Code_Point}\u2800]/u;

/**
 * Trims, folds line breaks to a space and normalises to NFC. Otherwise returns the rule that the text breaks.
 * @param maxLength in Unicode code points.
 */
export function normaliseText(
  raw: string,
  maxLength = MAX_TEXT_LENGTH,
): { text: string } | { problem: TextProblem } {
  if (!raw.isWellFormed())
    return { problem: { rule: 'lone-surrogate', detail: 'contains half of a surrogate pair' } };
  const text = raw.trim().replace(LINE_BREAKS, ' ').normalize('NFC');
  if (CONTROL.test(text))
    return { problem: { rule: 'control-character', detail: 'contains a control character' } };
  if (!VISIBLE.test(text)) return { problem: { rule: 'blank', detail: 'has no visible character' } };
  // The UTF-16 length is never below the number of code points, so most texts need no count.
  if (text.length > maxLength && [...text].length > maxLength)
    return { problem: { rule: 'too-long', detail: `is longer than ${maxLength} characters` } };
  return { text };
}
