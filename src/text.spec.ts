import fc from 'fast-check';
import { normaliseText, MAX_TEXT_LENGTH } from './text.js';

const accepted = (raw: string, maxLength?: number) => {
  const result = normaliseText(raw, maxLength);
  return 'text' in result ? result.text : result.problem.rule;
};

test.each([
  ['  Jane Austen ', 'Jane Austen'],
  ['Gabriel Garci\u0301a Ma\u0301rquez', 'Gabriel García Márquez'],
  ['The Wonderful\r\nWizard of Oz', 'The Wonderful Wizard of Oz'],
  ['one  \n \n two\u2028three\u0085four', 'one two three four'],
  ['one  two \n three', 'one  two three'],
  ['\u0085 one \u0085\u0085 two\u0085', 'one two'],
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

// In quadratic time, each of these would take hours.
describe('a million characters', () => {
  const MANY = 1_000_000;

  test.each([
    ['blanks', ' '],
    ['tabs and blanks', '\t '],
    ['line breaks', '\n'],
    ['marks of two classes', '\u0301\u0323'],
    ['joiners', '\u200d'],
  ])('of %s between two letters are too long', (_, units) => {
    expect(accepted(`a${units.repeat(MANY / units.length)}b`)).toBe('too-long');
  });

  test('of blanks around a word do not count', () => {
    expect(accepted(`${' '.repeat(MANY)}one${' '.repeat(MANY)}`)).toBe('one');
  });

  test('are folded and refused if the limit is as high', () => {
    const blanks = ' '.repeat(MANY);
    expect(accepted(`a${blanks}b`, 2 * MANY)).toBe(`a${blanks}b`);
    expect(accepted(`a${blanks}\n${blanks}b`, 2 * MANY)).toBe('a b');
    expect(accepted(`a${'\u0301'.repeat(MANY / 2)}${'\u0323'.repeat(MANY / 2)}`, 2 * MANY)).toBe(
      'too-many-marks',
    );
  });
});

test('a text has at most 30 marks in a row, also after normalisation', () => {
  const marks = (count: number) => '\u0323'.repeat(count);
  expect(accepted(`x${marks(30)}`)).toBe(`x${marks(30)}`);
  expect(accepted(`x${marks(31)}`)).toBe('too-many-marks');
  // Two of the marks are in the letter until it is normalised.
  expect(accepted(`\ufb2c${marks(29)}`)).toBe('too-many-marks');
});

test('a decomposed text may be as long as a composed one', () => {
  const decomposed = '\u1f82'.normalize('NFD').repeat(MAX_TEXT_LENGTH);
  expect(accepted(decomposed)).toBe('\u1f82'.repeat(MAX_TEXT_LENGTH));
});

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
