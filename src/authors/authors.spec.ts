import { randomUUID } from 'node:crypto';
import type { CommandContext } from '../commands/command-context.js';
import { CommandHandling } from '../commands/handle-command.js';
import type { IdempotencyKeys } from '../commands/idempotency-keys.js';
import { MemoryEventStore } from '../event-store/memory/memory-event-store.js';
import { newEvent } from '../../test/support/events.js';
import { authorStream } from './author.events.js';
import { Authors } from './authors.js';
import { MergeAuthor, MergeAuthorHandler } from './merge-author.js';

class Observed extends MemoryEventStore {
  reads = 0;

  override readStream(...of: Parameters<MemoryEventStore['readStream']>) {
    this.reads += 1;
    return super.readStream(...of);
  }
}

let store: Observed;
let authors: Authors;
let merges: MergeAuthorHandler;
beforeEach(() => {
  store = new Observed();
  authors = new Authors(new CommandHandling(store, undefined as unknown as IdempotencyKeys));
  merges = new MergeAuthorHandler(authors);
});

const context = (): CommandContext => {
  const commandId = randomUUID();
  return { commandId, actor: 'clerk', correlationId: commandId };
};
const add = async (name: string) => {
  const id = randomUUID();
  await store.append(authorStream(id), 'no-stream', [newEvent('AuthorAdded', { name })]);
  return id;
};
const merge = (id: string, into: string) => merges.execute(new MergeAuthor(id, into, context()));
/** As another process may append it, whose handlers take turns of their own. */
const mergeElsewhere = (id: string, into: string) =>
  store.append(authorStream(id), 0n, [newEvent('AuthorMerged', { into })]);

test('an author who is not merged stands for itself, and one read tells', async () => {
  const id = await add('A');
  store.reads = 0;
  expect(await authors.standingOf(id)).toEqual({ id, status: 'live' });
  expect(store.reads).toBe(1);
  const none = randomUUID();
  expect(await authors.standingOf(none)).toEqual({ id: none, status: 'unknown' });
});

test('a merged author stands for the last survivor, now and as of a position', async () => {
  const [a, b, c] = [await add('A'), await add('B'), await add('C')];
  const { position } = await merge(a, b);
  await merge(b, c);
  expect(await authors.standingOf(a)).toEqual({ id: c, status: 'live', name: 'A' });
  expect(await authors.standingOf(a, position)).toEqual({ id: b, status: 'live', name: 'A' });
  expect(await authors.standingOf(a, position - 1n)).toEqual({ id: a, status: 'live' });
  await authors.change(c, context(), () => [{ type: 'AuthorRemoved', data: {} }]);
  expect(await authors.standingOf(a)).toEqual({ id: c, status: 'removed', name: 'A' });
});

test('authors whom processes merged in a circle count as removed', async () => {
  const [a, b, c] = [await add('A'), await add('B'), await add('C')];
  await mergeElsewhere(a, b);
  await mergeElsewhere(b, c);
  await mergeElsewhere(c, b);
  for (const id of [a, b, c]) expect(await authors.standingOf(id)).toEqual({ id, status: 'removed' });
});

test('a merge goes to the last survivor, and can be repeated', async () => {
  const [a, b, c] = [await add('A'), await add('B'), await add('C')];
  await merge(b, c);
  const done = await merge(a, b);
  expect(await authors.load(a)).toMatchObject({ mergedInto: c });
  expect(done.redirected).toEqual([{ from: b, to: c }]);
  expect(await merge(a, b)).toEqual({ ...done, unchanged: true });
  expect(await merge(a, c)).toEqual({ ...done, unchanged: true, redirected: undefined });
  await expect(merge(c, a)).rejects.toMatchObject({ rule: 'merged-into-itself' });
});

test('a refusal names the last survivor', async () => {
  const [a, b, c] = [await add('A'), await add('B'), await add('C')];
  await merge(a, b);
  await merge(b, c);
  const refusal = { rule: 'author-merged', members: { survivor: c } };
  await expect(merge(a, await add('D'))).rejects.toMatchObject(refusal);
});

test('of merges that would close a circle, made at once, one is refused', async () => {
  const [a, b, c] = [await add('A'), await add('B'), await add('C')];
  const outcomes = await Promise.allSettled([merge(a, b), merge(b, c), merge(c, a)]);
  const refusals = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  expect(refusals).toEqual([expect.objectContaining({ rule: 'merged-into-itself' })]);
  const standings = await Promise.all([a, b, c].map((id) => authors.standingOf(id)));
  expect(new Set(standings.map(({ id, status }) => `${id} ${status}`)).size).toBe(1);
  expect(standings[0]?.status).toBe('live');
});
