import { EventStoreUnavailable } from '../../src/event-store/event-store.js';
import { ReadLimiter } from '../../src/event-store/eventstoredb/read-limiter.js';

const { signal } = new AbortController();

test('some reads for callers run, some wait for their turn, and the next is refused; other reads never wait', async () => {
  const limiter = new ReadLimiter();
  let running = 0;
  let most = 0;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const read = async () => {
    running += 1;
    most = Math.max(most, running);
    await finished;
    running -= 1;
    return 'read';
  };
  const accepted = Array.from({ length: 4 + 64 }, () => limiter.run(signal, read));
  await expect(limiter.run(signal, read)).rejects.toThrow(EventStoreUnavailable);
  expect(await limiter.run(undefined, async () => 'at once')).toBe('at once');
  finish();
  expect(new Set(await Promise.all(accepted))).toEqual(new Set(['read']));
  expect(most).toBe(4);
});

test('a read whose caller left gives its turn to the next, and so does a read that fails', async () => {
  const limiter = new ReadLimiter();
  const left = new Error('left');
  const caller = new AbortController();
  let fail: (error: Error) => void = () => undefined;
  const failing = new Promise<never>((_, reject) => (fail = reject));
  const failures = Array.from({ length: 4 }, () => limiter.run(signal, () => failing));
  const gone = limiter.run(caller.signal, async () => 'read');
  const next = limiter.run(signal, async () => 'read');
  caller.abort(left);
  const outcomes = Promise.allSettled([...failures, gone, next]);
  fail(new Error('broken'));
  expect((await outcomes).map(({ status }) => status)).toEqual([
    ...failures.map(() => 'rejected'),
    'rejected',
    'fulfilled',
  ]);
  await expect(gone).rejects.toBe(left);
});
