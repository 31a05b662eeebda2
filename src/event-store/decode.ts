import type { EventMetadata, Position, RecordedEvent, Revision } from './event-store.js';
import { upcast, UPCASTERS } from './upcast.js';

/** An event as a store keeps it: parsed JSON, and the store's own account of place and time. */
export interface StoredEvent {
  readonly stream: string;
  readonly revision: Revision;
  readonly position: Position;
  readonly id: string;
  readonly type: string;
  readonly data: unknown;
  readonly metadata: unknown;
  /** When this store recorded it. */
  readonly recordedAt: Date;
}

/**
 * The one way by which what a store keeps becomes an event. An event of an older schema version comes as the newest one.
 * @param upcasters for tests; every event there is, otherwise.
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
    // An event that was transferred says when it was first recorded.
    recordedAt: recordedAt === undefined ? stored.recordedAt : new Date(recordedAt),
  };
  return upcast(event, upcasters);
}
