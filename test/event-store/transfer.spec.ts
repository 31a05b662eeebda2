import type { EventStore } from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { compareLogs, transfer } from '../../src/event-store/transfer.js';
import { newEvent, newStream } from '../support/events.js';

// A log that was copied tells of itself, in a stream that is no part of the copy.

const apartOf = async (store: EventStore) => `operations-${await store.logId()}`;

async function act(store: EventStore): Promise<void> {
  const stream = await apartOf(store);
  const last = (await store.readStream(stream)).at(-1);
  await store.append(stream, last?.revision ?? 'no-stream', [newEvent('Acted', {})]);
}

const write = (store: EventStore) => store.append(newStream(), 'no-stream', [newEvent(), newEvent()]);

/** @returns the number of events copied, and of events that both logs hold. */
async function copy(source: EventStore, target: EventStore): Promise<[number, number]> {
  const apart = await apartOf(target);
  let copied = 0;
  for await (const { events } of transfer(source, target, apart)) copied = events;
  return [copied, await compareLogs(source, target, apart)];
}

test('a log that tells of itself can still be the beginning of a copy, the end of one, and its source', async () => {
  const [first, second, third] = [new MemoryEventStore(), new MemoryEventStore(), new MemoryEventStore()];
  await act(second);
  await write(first);
  expect(await copy(first, second)).toEqual([2, 2]);
  // More acts than one read returns.
  for (let n = 0; n < 12; n += 1) await act(second);
  expect(await copy(first, second)).toEqual([0, 2]);
  await act(first);
  await write(first);
  expect(await copy(first, second)).toEqual([3, 5]);

  // What the copy tells of itself is history for its own copy.
  expect(await copy(second, third)).toEqual([18, 18]);
  await act(third);
  await act(second);
  expect(await copy(second, third)).toEqual([1, 19]);

  // Whatever else the target has is more than a copy.
  await expect(compareLogs(first, second)).rejects.toThrow(/Acted 0 of operations-/);
  await write(second);
  await expect(copy(first, second)).rejects.toThrow('which the source does not');
});
