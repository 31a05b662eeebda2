import type { RecordedEvent } from '../event-store/event-store.js';

/** An event, and the row after that event. */
export interface RowChange {
  readonly event: RecordedEvent;
  /** The row after the event; null if the event left no row. */
  readonly row: Readonly<Record<string, unknown>> | null;
}

/** Finds the events that changed a row of the tables. Only the read side can. Wired in `resources.module.ts`. */
export abstract class RowChanges {
  /**
   * The events that changed a row, in order.
   * @param key values of the primary key columns, by column name.
   * @param caller aborts when the caller leaves.
   */
  abstract of(
    table: 'authors' | 'books' | 'author_book',
    key: Readonly<Record<string, string>>,
    caller: AbortSignal,
  ): Promise<readonly RowChange[]>;
}
