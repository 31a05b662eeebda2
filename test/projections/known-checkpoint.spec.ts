import type { Checkpoint } from '../../projections/checkpoint.js';
import { PoolCrowded } from '../../src/postgres/errors.js';
import { KnownCheckpoint } from '../../projections/known-checkpoint.js';

const at = (position: bigint): Checkpoint => ({
  version: 1,
  log: 'log',
  build: 'build',
  position,
  eventId: undefined,
  parked: 0,
});

test('a read of the tables that the projector overtook is out of date', async () => {
  let answer: (found: Checkpoint) => void = () => undefined;
  const read = () => new Promise<Checkpoint>((resolve) => (answer = resolve));
  const known = new KnownCheckpoint(
    () => 'log',
    read,
    () => true,
  );
  known.moved(at(1n));
  const refreshed = known.refresh();
  known.moved(at(2n));
  answer(at(1n));
  expect((await refreshed)?.position).toBe(2n);
  expect(await known.reached(2n, 0)).toBe(true);
  // A rebuild may go back.
  const again = known.refresh();
  answer(at(1n));
  expect((await again)?.position).toBe(1n);
  known.close();
});

test('callers that wait are bounded, and there is room again', async () => {
  const known = new KnownCheckpoint(
    () => 'log',
    async () => undefined,
    () => true,
  );
  const waiting = Array.from({ length: 4_000 }, () => known.reached(1n, 60_000));
  await expect(known.reached(1n, 60_000)).rejects.toBeInstanceOf(PoolCrowded);
  known.moved(at(1n));
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([true]));
  expect(await known.reached(2n, 0)).toBe(false);
  known.close();
});
