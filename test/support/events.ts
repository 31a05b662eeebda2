import { randomUUID } from 'node:crypto';
import type { EventStore, NewEvent, Position, RecordedEvent } from '../../src/event-store/event-store.js';

export const newStream = (category = 'author'): string => `${category}-${randomUUID()}`;

export function newEvent(type = 'AuthorAdded', data: object = { name: 'Jane Austen' }): NewEvent {
  const commandId = randomUUID();
  return {
    id: randomUUID(),
    type,
    data,
    metadata: {
      commandId,
      actor: 'test',
      correlationId: commandId,
      causationId: commandId,
      schemaVersion: 1,
    },
  };
}

/** All events of the log after a position. */
export async function readLog(store: EventStore, from?: Position): Promise<RecordedEvent[]> {
  const log: RecordedEvent[] = [];
  for await (const events of store.readAll({ from })) log.push(...events);
  return log;
}

/** Follows the log until `enough` says so. */
export async function follow(
  store: EventStore,
  after: Position | undefined,
  enough: (events: readonly RecordedEvent[], caughtUp: boolean) => boolean,
): Promise<RecordedEvent[]> {
  const seen: RecordedEvent[] = [];
  const stop = new AbortController();
  for await (const batch of store.subscribe(after, stop.signal)) {
    seen.push(...batch.events);
    if (enough(seen, batch.caughtUp)) break;
  }
  return seen;
}
