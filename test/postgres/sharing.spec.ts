import { PoolCrowded } from '../../src/postgres/errors.js';
import { Sharing } from '../../src/postgres/sharing.js';

/** Statements that are sent and end when the test says so. A result is the number of the statement. */
function server() {
  const statements: {
    readonly callers: AbortSignal | undefined;
    readonly send: () => void;
    readonly end: (error?: Error) => void;
  }[] = [];
  const run = (callers: AbortSignal | undefined, sending: () => void) =>
    new Promise<number>((resolve, reject) => {
      const number = statements.length;
      const end = (error?: Error) => (error ? reject(error) : resolve(number));
      statements.push({ callers, send: sending, end });
      callers?.addEventListener('abort', () => reject(callers.reason as Error));
    });
  return { statements, run };
}

const soon = () => new Promise(setImmediate);

test('callers of the same join a statement until it is sent; later callers gather, and share the next', async () => {
  const { statements, run } = server();
  const sharing = new Sharing<number>();
  const caller = () => new AbortController().signal;
  const first = [sharing.ask('k', caller(), run), sharing.ask('k', caller(), run)];
  await soon();
  first.push(sharing.ask('k', caller(), run));
  statements[0]?.send();
  const second = [sharing.ask('k', caller(), run), sharing.ask('k', caller(), run)];
  const other = sharing.ask('other', caller(), run);
  await soon();
  expect(statements).toHaveLength(2);
  statements[1]?.end();
  expect(await other).toBe(1);
  second.push(sharing.ask('k', caller(), run));
  statements[0]?.end();
  expect(await Promise.all(first)).toEqual([0, 0, 0]);
  await soon();
  statements[2]?.send();
  statements[2]?.end();
  expect(await Promise.all(second)).toEqual([2, 2, 2]);
  const later = sharing.ask('k', caller(), run);
  await soon();
  statements[3]?.end();
  expect(await later).toBe(3);
});

test('a failure is told to every caller, and the next caller asks anew', async () => {
  for (const sent of [true, false]) {
    const { statements, run } = server();
    const sharing = new Sharing<number>();
    const callers = [1, 2, 3].map(() => sharing.ask('k', new AbortController().signal, run));
    await soon();
    if (sent) statements[0]?.send();
    const behind = sent ? [sharing.ask('k', undefined, run)] : [];
    statements[0]?.end(new Error('gone'));
    for (const outcome of await Promise.allSettled(callers))
      expect(outcome).toEqual({ status: 'rejected', reason: new Error('gone') });
    behind.push(sharing.ask('k', undefined, run));
    await soon();
    statements[1]?.end();
    for (const result of await Promise.all(behind)) expect(result).toBe(1);
  }
});

test('a caller who leaves takes nothing from the others; after the last one, the statement is stopped', async () => {
  for (const sent of [true, false]) {
    const { statements, run } = server();
    const sharing = new Sharing<number>();
    const leaving = [1, 2, 3].map(() => new AbortController());
    const asked = leaving.map(({ signal }) => sharing.ask('k', signal, run));
    await soon();
    if (sent) statements[0]?.send();
    const reason = new Error('left');
    leaving[0]?.abort(reason);
    await expect(asked[0]).rejects.toBe(reason);
    leaving[1]?.abort(reason);
    await expect(asked[1]).rejects.toBe(reason);
    expect(statements[0]?.callers?.aborted).toBe(false);
    leaving[2]?.abort(reason);
    const next = sharing.ask('k', new AbortController().signal, run);
    await expect(asked[2]).rejects.toBe(reason);
    expect(statements[0]?.callers?.aborted).toBe(true);
    await soon();
    statements[1]?.send();
    statements[1]?.end();
    expect(await next).toBe(1);
    await expect(sharing.ask('k', AbortSignal.abort(reason), run)).rejects.toBe(reason);
  }
});

test('callers that wait are limited in number, and leave room when they go or are served', async () => {
  const { statements, run } = server();
  const sharing = new Sharing<number>();
  const leaving = Array.from({ length: 500 }, () => new AbortController());
  const left = Promise.allSettled(leaving.map(({ signal }, n) => sharing.ask(`${n % 2}`, signal, run)));
  await expect(sharing.ask('another', undefined, run)).rejects.toBeInstanceOf(PoolCrowded);
  for (const caller of leaving) caller.abort(new Error('left'));
  expect(new Set((await left).map(({ status }) => status))).toEqual(new Set(['rejected']));

  const callers = Array.from({ length: 500 }, (_, n) => sharing.ask(`${n % 2}`, undefined, run));
  await soon();
  await expect(sharing.ask('0', undefined, run)).rejects.toBeInstanceOf(PoolCrowded);
  for (const statement of statements) statement.send();
  const behind = sharing.ask('0', undefined, run);
  for (const statement of statements) statement.end();
  await Promise.all(callers);
  await soon();
  statements.at(-1)?.end();
  await behind;
});
