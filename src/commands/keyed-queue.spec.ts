import { EventStoreUnavailable } from '../event-store/event-store.js';
import { KeyedQueue, TooManyWait, TooMuchContention } from './keyed-queue.js';

/** A task that ends when it is told to. */
function task(log: string[], name: string) {
  let end = () => {};
  const ended = new Promise<void>((resolve) => (end = resolve));
  const run = async () => {
    log.push(name);
    await ended;
    return name;
  };
  return { run, end };
}
const settled = () => new Promise(setImmediate);
const soon = () => performance.now() + 1;

let log: string[];
beforeEach(() => {
  log = [];
});

test('tasks of a key run in order, one at a time; tasks of other keys run beside them', async () => {
  const queue = new KeyedQueue();
  const [a, b, c] = [task(log, 'a'), task(log, 'b'), task(log, 'c')];
  const results = [queue.run('x', a.run), queue.run('x', b.run), queue.run('y', c.run)];
  await settled();
  expect(log).toEqual(['a', 'c']);
  a.end();
  await settled();
  expect(log).toEqual(['a', 'c', 'b']);
  b.end();
  c.end();
  expect(await Promise.all(results)).toEqual(['a', 'b', 'c']);
});

test('a task that fails hands its turn on', async () => {
  const queue = new KeyedQueue();
  const failing = queue.run('x', () => Promise.reject(new Error('failed')));
  const throwing = queue.run('x', () => {
    throw new Error('thrown');
  });
  const next = queue.run('x', async () => 'next');
  await expect(failing).rejects.toThrow('failed');
  await expect(throwing).rejects.toThrow('thrown');
  expect(await next).toBe('next');
});

test('a task whose turn does not come in time is never begun', async () => {
  const queue = new KeyedQueue();
  const [first, late, last] = [task(log, 'first'), task(log, 'late'), task(log, 'last')];
  const done = queue.run('x', first.run);
  const refused = queue.run('x', late.run, soon());
  const waiting = queue.run('x', last.run);
  await expect(refused).rejects.toBeInstanceOf(TooMuchContention);
  first.end();
  last.end();
  expect(await Promise.all([done, waiting])).toEqual(['first', 'last']);
  expect(log).toEqual(['first', 'last']);
});

test('a task that is late is answered, and keeps its turn until it ends', async () => {
  const queue = new KeyedQueue();
  const [slow, next] = [task(log, 'slow'), task(log, 'next')];
  const late = queue.run('x', slow.run, soon());
  const waiting = queue.run('x', next.run);
  await expect(late).rejects.toBeInstanceOf(EventStoreUnavailable);
  expect(log).toEqual(['slow']);
  slow.end();
  next.end();
  expect(await waiting).toBe('next');
});

test('a task that too many others are ahead of is refused at once', async () => {
  const queue = new KeyedQueue(2);
  const tasks = ['a', 'b', 'c'].map((name) => task(log, name));
  const results = tasks.map(({ run }) => queue.run('x', run));
  await expect(queue.run('x', async () => 'd')).rejects.toBeInstanceOf(TooMuchContention);
  expect(await queue.run('y', async () => 'e')).toBe('e');
  for (const { end } of tasks) end();
  expect(await Promise.all(results)).toEqual(['a', 'b', 'c']);
  expect(await queue.run('x', async () => 'f')).toBe('f');
});

test('tasks that wait are bounded in all, whatever their keys, and those that gave up do not count', async () => {
  const queue = new KeyedQueue(2, 2);
  const first = [task(log, 'a'), task(log, 'b')];
  const done = first.map(({ run }, n) => queue.run(`${n}`, run));
  const waiting = queue.run('0', async () => 'c');
  const late = queue.run('1', async () => 'd', soon());
  await expect(queue.run('1', async () => 'e')).rejects.toBeInstanceOf(TooManyWait);
  expect(await queue.run('2', async () => 'f')).toBe('f');
  await expect(late).rejects.toThrow(TooMuchContention);
  const next = queue.run('1', async () => 'g');
  for (const { end } of first) end();
  expect(await Promise.all([...done, waiting, next])).toEqual(['a', 'b', 'c', 'g']);
});
