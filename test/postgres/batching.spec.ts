import { jest } from '@jest/globals';
import { batching } from '../../src/postgres/batching.js';
import { PoolCrowded } from '../../src/postgres/errors.js';

/** A server that answers when it is told to. */
function slowServer() {
  const asked: string[][] = [];
  const answers: (() => void)[] = [];
  const load = (keys: readonly string[]) => {
    asked.push([...keys]);
    return new Promise<string[]>((resolve) => answers.push(() => resolve(keys.map((key) => `row ${key}`))));
  };
  const answerAll = async (done: () => boolean) => {
    while (!done()) {
      answers.shift()?.();
      await new Promise(setImmediate);
    }
  };
  return { asked, load, answerAll };
}

/** Settles all, and answers until then. */
async function outcomes(server: ReturnType<typeof slowServer>, loads: Promise<string>[]) {
  let done = false;
  const settled = Promise.allSettled(loads).finally(() => (done = true));
  await server.answerAll(() => done);
  return settled;
}

test('keys that are asked for while statements run are gathered, and refused if too many wait', async () => {
  const server = slowServer();
  const loader = batching(server.load, 1);
  const loads = Array.from({ length: 60 }, (_, n) => loader.load(String(n)));
  const settled = await outcomes(server, loads);
  // Two statements run and 50 wait.
  expect(settled.slice(0, 52)).toEqual(
    Array.from({ length: 52 }, (_, n) => ({ status: 'fulfilled', value: `row ${n}` })),
  );
  for (const one of settled.slice(52))
    expect(one).toEqual({ status: 'rejected', reason: expect.any(PoolCrowded) });
  expect(server.asked).toHaveLength(52);
  expect(await outcomes(server, [loader.load('later')])).toEqual([
    { status: 'fulfilled', value: 'row later' },
  ]);
});

test('a key that waited too long is refused and never asked for', async () => {
  const server = slowServer();
  const loader = batching(server.load, 1);
  const loads = Array.from({ length: 5 }, (_, n) => loader.load(String(n)));
  while (server.asked.length < 2) await new Promise(setImmediate);
  const clock = jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000);
  const settled = await outcomes(server, loads);
  clock.mockRestore();
  expect(settled.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'rejected',
    'rejected',
  ]);
  expect(server.asked).toEqual([['0'], ['1']]);
  expect(await outcomes(server, [loader.load('later')])).toEqual([
    { status: 'fulfilled', value: 'row later' },
  ]);
});
