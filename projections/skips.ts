import {
  StreamDeleted,
  type EventStore,
  type Position,
  type ProjectableEvent,
  type RecordedEvent,
} from '../src/event-store/event-store.js';
import { operationsStream, skippedBy, type SkippedEvent } from '../src/operations/operations.events.js';
import type { Projection } from './projection.js';

/** An operator's act in the log: from its position on, an event has no effect on a projection. */
export interface Skip extends SkippedEvent {
  readonly act: RecordedEvent;
}

/** The skips of a projection up to a position, by the id of the skipped event. */
export type Skips = ReadonlyMap<string, Skip>;

export const NO_SKIPS: Skips = new Map();

/** Acts that one read of the stream returns. */
const PAGE = 1_000;

/** The skip that an event is; undefined for any other event. */
export function skipOf({ name }: Pick<Projection, 'name'>, event: RecordedEvent): Skip | undefined {
  const skipped = event.stream === operationsStream(name) ? skippedBy(event) : undefined;
  return skipped && { ...skipped, act: event };
}

/**
 * Reads the skips of a projection. The state at a position depends on the skips up to that position, and on no later
 * one: the tables, a rebuild, `verify` and every answer about the past go by this.
 * @param to ignores skips after this position.
 * @param caller aborts when the caller leaves, if the answer is for a caller.
 */
export async function readSkips(
  store: EventStore,
  projection: Pick<Projection, 'name'>,
  to?: Position,
  caller?: AbortSignal,
): Promise<Skips> {
  const skips = new Map<string, Skip>();
  const stream = operationsStream(projection.name);
  for (let after: bigint | undefined; ;) {
    const events = await store.readStream(stream, { after, limit: PAGE, caller }).catch((error: unknown) => {
      // Another program deleted the acts, and the log no longer tells of them.
      if (error instanceof StreamDeleted) return [];
      throw error;
    });
    for (const event of events) {
      if (to !== undefined && event.position > to) return skips;
      const skip = skipOf(projection, event);
      if (skip && !skips.has(skip.eventId)) skips.set(skip.eventId, skip);
    }
    after = events.at(-1)?.revision;
    if (after === undefined) return skips;
  }
}

/** The event that a skip is about; undefined if the log has no such event before the skip. */
export async function skippedEvent(
  store: EventStore,
  { act, stream, eventId }: Skip,
): Promise<RecordedEvent | undefined> {
  const history = await store.readStream(stream).catch((error: unknown) => {
    if (error instanceof StreamDeleted) return [];
    throw error;
  });
  return history.find(({ id, position }) => id === eventId && position < act.position);
}

/** Whether an event has no effect. A skip is about what stands before it in the log. */
export function isSkipped(skips: Skips, { id, stream, position }: ProjectableEvent): boolean {
  const skip = skips.get(id);
  return skip !== undefined && skip.stream === stream && skip.act.position > position;
}
