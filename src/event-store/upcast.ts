import type { RecordedEvent } from './event-store.js';

/** Converts the data of one event type from one schema version to the next. Pure. */
export interface Upcaster {
  readonly type: string;
  /** The schema version of the input. The output has the next version. */
  readonly from: number;
  readonly upcast: (data: object) => object;
}

/** None yet: every event type is still at version 1. Bytes of old versions stay as fixtures in `test/event-store/`. */
export const UPCASTERS: readonly Upcaster[] = [];

/** The event with data and schema version of the newest shape. */
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
