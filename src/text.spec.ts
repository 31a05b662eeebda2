import fc from 'fast-check';
import { normaliseText, MAX_TEXT_LENGTH } from './text.js';

const accepted = (raw: string) => {
  const result = normaliseText(raw);
  return 'text' in result ? result.text : result.problem.rule;
};

test.each([
  ['  Jane Austen ', 'Jane Austen'],
  ['Gabriel Garci\u0301a Ma\u0301rquez', 'Gabriel García Márquez'],
  ['The Wonderful\r\nWizard of Oz', 'The Wonderful Wizard of Oz'],
  ['one  \n \n two\u2028three\u0085four', 'one two three four'],
  ['紅樓夢', '紅樓夢'],
  ['👩‍👩‍👧', '👩‍👩‍👧'],
])('%j becomes %j', (raw, text) => expect(accepted(raw)).toBe(text));

test.each([
  ['', 'blank'],
  [' \n ', 'blank'],
  ['\u200b\u2060\ufeff', 'blank'],
  ['\u3164', 'blank'],
  ['\u0301', 'blank'],
  ['\u2800', 'blank'],
  ['a\u0000b', 'control-character'],
  ['a\tb', 'control-character'],
  ['a\u0085\u009fb', 'control-character'],
  ['\ud800', 'lone-surrogate'],
  ['a\udc00', 'lone-surrogate'],
])('%j is refused: %s', (raw, rule) => expect(accepted(raw)).toBe(rule));

test('the limit counts characters, not units of UTF-16', () => {
  expect(accepted('🜁'.repeat(MAX_TEXT_LENGTH))).toBe('🜁'.repeat(MAX_TEXT_LENGTH));
  expect(accepted('a'.repeat(MAX_TEXT_LENGTH + 1))).toBe('too-long');
});

test('what is accepted is accepted again, unchanged', () =>
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (raw) => {
      const once = normaliseText(raw);
      if ('text' in once) expect(normaliseText(once.text)).toEqual(once);
    }),
  ));
