import type { EventMetadata, Position, RecordedEvent, Revision } from './event-store.js';
import { upcast, UPCASTERS } from './upcast.js';

/** A stored event: parsed JSON, with the store's own revision, position and time. */
export interface StoredEvent {
  readonly stream: string;
  readonly revision: Revision;
  readonly position: Position;
  readonly id: string;
  readonly type: string;
  readonly data: unknown;
  readonly metadata: unknown;
  /** The time at which this store recorded the event. */
  readonly recordedAt: Date;
}

/**
 * The only place where stored data becomes an event. An event of an older schema version is upcast to the newest.
 * @param upcasters for tests; by default all upcasters.
 */
export function decode(stored: StoredEvent, upcasters = UPCASTERS): RecordedEvent {
  const metadata = stored.metadata as EventMetadata;
  const { recordedAt } = metadata;
  const event: RecordedEvent = {
    stream: stored.stream,
    revision: stored.revision,
    position: stored.position,
    id: stored.id,
    type: stored.type,
    data: stored.data as object,
    metadata,
    // The metadata of a transferred event has the time at which the event was first recorded.
    recordedAt: recordedAt === undefined ? stored.recordedAt : new Date(recordedAt),
  };
  return upcast(event, upcasters);
}
