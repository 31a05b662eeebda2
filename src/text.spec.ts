import fc from 'fast-check';
import { normaliseText, normaliseTitle, MAX_TEXT_LENGTH } from './text.js';

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
  ['a\tb', 'a b'],
  ['a \t\t b\vc\fd', 'a b c d'],
  ['\tone\u001ftwo\u001e\u001d', 'one two'],
  ['\ufeffone', 'one'],
  ['Vol. XXXIX.\u0097No. 6', 'Vol. XXXIX.—No. 6'],
  ['\u0093J\u0092accuse\u0094', '“J’accuse”'],
  ['c\u009cur', 'cœur'],
  ['\u009cuvres', 'œuvres'],
  ['von \u009cGoethe', 'von Goethe'],
  ['Goethe\u009c', 'Goethe'],
  ['\u0098von \u009cGoethe', 'von Goethe'],
  ['one\u0098\u0089', 'one'],
  ['\u0098 one', 'one'],
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
  ['a\u0085\u009fb', 'control-character'],
  ['a\u001bb', 'control-character'],
  ['\u0098\u009c', 'blank'],
  ['\ud800\u0098\udc00', 'lone-surrogate'],
  [`x${'\u0323'.repeat(16)}\u0098${'\u0323'.repeat(16)}`, 'too-many-marks'],
  ['\ud800', 'lone-surrogate'],
  ['a\udc00', 'lone-surrogate'],
])('%j is refused: %s', (raw, rule) => expect(accepted(raw)).toBe(rule));

test.each([
  ['\u0098Das \u009cParfum', 'Das Parfum', 'Parfum'],
  ['\u0098Das\u009c Parfum', 'Das Parfum', 'Parfum'],
  ['\u0088Le \u0089père Goriot', 'Le père Goriot', 'père Goriot'],
  [' \u0098L’\u009camour\r\nfou', 'L’amour fou', 'amour fou'],
  [
    '\u0098Der\u009c Herr der Ringe. \u0098Die\u009c zwei Türme',
    'Der Herr der Ringe. Die zwei Türme',
    'Herr der Ringe. zwei Türme',
  ],
  ['\u0098a \u0098The \u009cIdiot', 'a The Idiot', 'a Idiot'],
  // A mark without its partner, and marks of two kinds, say nothing.
  ['\u0098Das Parfum', 'Das Parfum', undefined],
  ['Das \u009cParfum', 'Das Parfum', undefined],
  ['\u0098Das \u0089Parfum', 'Das Parfum', undefined],
  ['\u009cDas \u0098Parfum', 'Das Parfum', undefined],
  // Nothing is left, or nothing is marked.
  ['\u0098Das\u009c', 'Das', undefined],
  ['\u0098Das\u009c \u200b', 'Das \u200b', undefined],
  ['\u0098 \u009cParfum', 'Parfum', undefined],
  ['Das Parfum', 'Das Parfum', undefined],
])('the title %j is %j, filed as %j', (raw, title, filedAs) => {
  expect(normaliseTitle(raw)).toEqual({ title, ...(filedAs !== undefined && { filedAs }) });
});

test('a title that is no text is refused', () => {
  expect(normaliseTitle('\u0098Das\u0000 \u009cParfum')).toMatchObject({
    problem: { rule: 'control-character' },
  });
});

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

  test.each([
    ['marks that begin', '\u0098'],
    ['marks that end', '\u009c'],
    ['marked parts', '\u0098a \u009c'],
    ['two kinds of marks that begin', '\u0098\u0088'],
  ])('of %s are a title or none, in linear time', (_, units) => {
    const title = normaliseTitle(`${units.repeat(MANY / units.length)}B`, 2 * MANY);
    expect('title' in title && title.title.replace(/a /g, '')).toBe('B');
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
