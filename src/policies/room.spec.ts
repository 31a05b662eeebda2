import { setImmediate } from 'node:timers/promises';
import { MOST_STREAMS, Room } from './room.js';

const MIB = 1_048_576;

/** Runs work on streams of this size, all at once, and tells how many were held at a time. */
async function crowd(bytes: number): Promise<{ most: number; done: number }> {
  const room = new Room();
  let held = 0;
  let most = 0;
  let done = 0;
  const one = () =>
    room.run(async (holds) => {
      held += 1;
      holds(bytes);
      await setImmediate();
      // The first know nothing of the size yet.
      if (done >= MOST_STREAMS) most = Math.max(most, held);
      held -= 1;
      done += 1;
    });
  await Promise.all(Array.from({ length: 5 * MOST_STREAMS }, one));
  return { most, done };
}

test('a number of small histories is held at a time, and everybody has a turn', async () => {
  expect(await crowd(1_000)).toEqual({ most: MOST_STREAMS, done: 5 * MOST_STREAMS });
});

test('few large histories are held at a time, and one that is larger than the room has a turn too', async () => {
  const { most, done } = await crowd(8 * MIB);
  expect(most).toBeLessThanOrEqual(4);
  expect(done).toBe(5 * MOST_STREAMS);
  expect(await crowd(64 * MIB)).toEqual({ most: 1, done: 5 * MOST_STREAMS });
});

test('work that fails gives its room back', async () => {
  const room = new Room();
  const failing = Array.from({ length: 3 * MOST_STREAMS }, () =>
    room.run(async () => {
      await setImmediate();
      throw new Error('as it happens');
    }),
  );
  const settled = await Promise.allSettled(failing);
  expect(settled.every(({ status }) => status === 'rejected')).toBe(true);
  expect(await room.run(async () => 'room')).toBe('room');
});
