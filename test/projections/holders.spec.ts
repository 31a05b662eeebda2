import { isOurWork } from '../../projections/build/holders.js';

const since = 'colophon, in a transaction since 12:00:00 UTC)';

test.each([
  [`pid 7 (colophon rebuild of catalogue, ${since}`, true],
  [`pid 7 (colophon verification of catalogue, ${since}`, true],
  [`pid 7 (colophon upgrade of catalogue, ${since}`, true],
  [`pid 7 (a report, ${since}`, false],
  // The leader of another process is no work that ends.
  [`pid 7 (colophon, ${since}`, false],
  [`pid 7 (colophon rebuild of catalogue, ${since}, pid 8 (a report, ${since}`, false],
  [`pid 8 (a report, ${since}, pid 7 (colophon rebuild of catalogue, ${since}`, false],
])('a projection that waits for %s stands still unless that is our own work', (sessions, ours) => {
  expect(isOurWork(sessions)).toBe(ours);
});
