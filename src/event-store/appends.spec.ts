import { WholeAppends } from './appends.js';
import type { RecordedEvent } from './event-store.js';

/** Events of one stream: of one command for each number, each as large as said, each recorded at its own time. */
function eventsOf(commands: readonly number[], bytes = 10): RecordedEvent[] {
  return commands.map((command, index) => ({
    id: `${index}`,
    type: 'Happened',
    data: { text: 'x'.repeat(bytes) },
    metadata: {
      commandId: `command ${command}`,
      actor: 'test',
      correlationId: '',
      causationId: '',
      schemaVersion: 1,
    },
    stream: 'alpha-1',
    revision: BigInt(index),
    position: BigInt(index),
    recordedAt: new Date(index),
  }));
}

/** The sizes of the batches that pages of a size become. */
function batches(events: readonly RecordedEvent[], size: number): number[] {
  const appends = new WholeAppends();
  const found: number[] = [];
  for (let start = 0; start < events.length; start += size)
    found.push(appends.take(events.slice(start, start + size), start + size >= events.length).length);
  return found;
}

test('a batch ends where an append ends, however the pages are cut', () => {
  const events = eventsOf([1, 1, 1, 2, 3, 3, 3, 3, 3, 4]);
  expect(batches(events, 10)).toEqual([10]);
  expect(batches(events, 4)).toEqual([3, 1, 6]);
  expect(batches(events, 3)).toEqual([0, 4, 0, 6]);
  expect(batches(events, 1)).toEqual([0, 0, 0, 3, 1, 0, 0, 0, 0, 6]);
});

test('what was recorded at one time may be one append, whatever commands it names', () => {
  const events = eventsOf([1, 2, 3, 4, 5, 6]).map((event) => ({ ...event, recordedAt: new Date(0) }));
  expect(batches(events, 2)).toEqual([0, 0, 6]);
});

test('as many bytes as an append may have are held, and no more', () => {
  const one = Array.from({ length: 10 }, () => 1);
  expect(batches(eventsOf([...one, 2], 100_000), 4)).toEqual([0, 0, 11]);
  expect(batches(eventsOf([...one, ...one, 2], 100_000), 4)).toEqual([0, 0, 12, 0, 0, 9]);
  // Then the command tells, even if the time is the same.
  const sameTime = eventsOf([1, 2, 3, 4, 5, 6, 7, 8], 400_000).map((event) => ({
    ...event,
    recordedAt: new Date(0),
  }));
  expect(batches(sameTime, 4)).toEqual([3, 5]);
});
