import { jest } from '@jest/globals';
import type { FastifyReply } from 'fastify';
import { answerChange, preferredWait } from '../../src/http/prefer.js';

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

test('callers that wait are bounded: the next one is answered at once, and not told that the preference was heeded', async () => {
  let end: (ended: boolean) => void = () => undefined;
  const ending = new Promise<boolean>((resolve) => (end = resolve));
  const ask = async (ended: (change: string, position: bigint, patienceMs: number) => Promise<boolean>) => {
    const header = jest.fn();
    const reply = { header } as unknown as FastifyReply;
    const answer = { id: 'a', revision: '0', position: '0', created: false, unchanged: false };
    const change = { change: 'c', position: 0n };
    const { underWay } = await answerChange({ headers: { prefer: 'wait=5' } }, reply, answer, change, ended);
    return [underWay, header.mock.calls];
  };
  const waiting = Array.from({ length: 1_000 }, () => ask(() => ending));
  expect(await ask(async (_, __, patienceMs) => patienceMs > 0)).toEqual([true, []]);
  end(true);
  await Promise.all(waiting);
  expect(await ask(async (_, __, patienceMs) => patienceMs > 0)).toEqual([
    false,
    [['preference-applied', 'wait=5']],
  ]);
});
