import { parseMoment } from './moment.js';
import { PositionTokens } from './position-token.js';

const tokens = new PositionTokens('9f3a2c1b-0000-4000-8000-000000000000');

test.each([
  ['2024-02-29', '2024-02-29T00:00:00.000Z'],
  ['2026-12-31T23:59:59.999Z', '2026-12-31T23:59:59.999Z'],
  ['2026-01-31t12:00:00z', '2026-01-31T12:00:00.000Z'],
  ['2026-01-31T12:00Z', '2026-01-31T12:00:00.000Z'],
  ['2026-01-31T12:00:00.5+02:00', '2026-01-31T10:00:00.500Z'],
  // A plus sign that a client did not encode arrives as a blank.
  ['2026-01-31T12:00:00 02:00', '2026-01-31T10:00:00.000Z'],
])('%s is a time', (text, time) => {
  expect(parseMoment(text, tokens)).toEqual({ time: new Date(time) });
});

test('a position of this log is a moment', () => {
  expect(parseMoment('7.9f3a2c1b', tokens)).toEqual({ position: 7n });
});

test.each([
  '2026-02-30',
  '2026-06-31',
  '2025-02-29',
  '1900-02-29',
  '2026-02-30T12:00:00Z',
  '2026-04-31T00:00:00+02:00',
  '2026-13-01',
  '2026-01-00',
  '2026-01-01T24:00:00Z',
  '2026-01-01T23:60:00Z',
  '2026-01-01T23:00:60Z',
  '2026-01-01T23:00:00+24:00',
  '2026-01-01T23:00:00',
  '2026-01-01 23:00:00Z',
  '2026-1-1',
  '7.00000000',
  '7',
  '',
])('"%s" is no moment', (text) => {
  expect(parseMoment(text, tokens)).toBeUndefined();
});
