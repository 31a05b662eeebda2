import type { Batch, EventStore, Position } from '../../src/event-store/event-store.js';

/** The same log, delivered in batches of other sizes. */
export function rebatched(store: EventStore, sizes: readonly number[]): EventStore {
  async function* subscribe(after: Position | undefined, signal: AbortSignal): AsyncIterable<Batch> {
    let turn = 0;
    for await (const { events, caughtUp } of store.subscribe(after, signal)) {
      for (let start = 0; start < events.length;) {
        const size = sizes[turn++ % sizes.length] ?? 1;
        yield { events: events.slice(start, start + size), caughtUp };
        start += size;
      }
    }
  }
  return Object.assign(Object.create(store) as EventStore, { subscribe });
}
