import { preferredWait } from '../../src/http/prefer.js';

test.each([
  [undefined, undefined],
  ['wait=5', 5],
  ['WAIT = "5"', 5],
  ['respond-async, wait=0;x=1', 0],
  ['wait=31', 30],
  ['wait=99999999999999999999', 30],
  ['wait=1, wait=2', 1],
  ['wait=-1', undefined],
  ['wait=1.5', undefined],
  ['wait', undefined],
  ['waits=3', undefined],
])('the header Prefer: %s asks for %s seconds', (prefer, seconds) => {
  expect(preferredWait({ headers: { prefer } })).toBe(seconds);
});
