import type { Checkpoint } from '../../projections/checkpoint.js';
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
