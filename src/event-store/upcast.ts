import type { RecordedEvent } from './event-store.js';

/** Brings the data of one event type from one schema version to the next. Pure. */
export interface Upcaster {
  readonly type: string;
  /** The version that it takes; what it makes is of the version after. */
  readonly from: number;
  readonly upcast: (data: object) => object;
}

/** None yet: every event type is still of its first version. Old bytes stay as fixtures in `test/event-store/`. */
export const UPCASTERS: readonly Upcaster[] = [];

/** The event with its data in the newest shape, and the version of that. */
export function upcast(event: RecordedEvent, upcasters: readonly Upcaster[]): RecordedEvent {
  if (upcasters.length === 0) return event;
  let { data } = event;
  let { schemaVersion } = event.metadata;
  for (;;) {
    const next = upcasters.find(({ type, from }) => type === event.type && from === schemaVersion);
    if (!next) return { ...event, data, metadata: { ...event.metadata, schemaVersion } };
    data = next.upcast(data);
    schemaVersion += 1;
  }
}
