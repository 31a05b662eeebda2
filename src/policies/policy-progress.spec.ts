import type { PolicyTables } from './policy-tables.js';
import { PolicyProgress } from './policy-progress.js';

const LOG = '018f3c3a-0000-7000-8000-000000000001';

/** Progress by tables that are as told. */
function progressOf(standing: () => { log?: string; position?: bigint; open?: string[] }) {
  let looks = 0;
  const look = async () => {
    looks += 1;
    const { log = LOG, position, open = [] } = standing();
    return { log, position, open: new Set(open) };
  };
  const progress = new PolicyProgress({ standing: look } as unknown as PolicyTables, LOG);
  return { progress, looks: () => looks };
}

test('all who wait share a look', async () => {
  const { progress, looks } = progressOf(() => ({ position: looks() > 2 ? 7n : 6n }));
  const waiting = Array.from({ length: 1_000 }, (_, n) => progress.ended(`change ${n}`, 7n, 10_000));
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([true]));
  expect(looks()).toBe(3);
});

test.each([
  ['the position is not reached', { position: 6n }],
  ['a task of the change is open', { position: 7n, open: ['change'] }],
  ['policies follow another log', { position: 7n, log: '018f3c3a-0000-7000-8000-000000000002' }],
  ['policies have not begun', {}],
])('a change has not ended if %s', async (_, standing) => {
  const { progress } = progressOf(() => standing);
  expect(await progress.ended('change', 7n, 0)).toBe(false);
});

test('a change whose end is unknown has not ended, and nothing fails', async () => {
  const { progress } = progressOf(() => {
    throw new Error('the database is away');
  });
  expect(await progress.ended('change', 7n, 0)).toBe(false);
});

test('whoever waits is told at once when the service stops', async () => {
  const { progress } = progressOf(() => ({ position: 6n }));
  const waiting = progress.ended('change', 7n, 2 ** 30);
  await progress.onModuleDestroy();
  expect(await waiting).toBe(false);
});
