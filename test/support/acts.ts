import type { EventStore, RecordedEvent } from '../../src/event-store/event-store.js';
import { operationsStream } from '../../src/operations/operations.events.js';
import { newEvent } from './events.js';

/** Appends the act by which an operator skips an event. */
export async function skip(
  store: EventStore,
  { stream, revision, id: eventId }: Pick<RecordedEvent, 'stream' | 'revision' | 'id'>,
): Promise<bigint> {
  const operations = operationsStream('catalogue');
  const last = (await store.readStream(operations)).at(-1);
  const act = newEvent('EventSkipped', { stream, revision: revision.toString(), eventId });
  return (await store.append(operations, last?.revision ?? 'no-stream', [act])).position;
}
