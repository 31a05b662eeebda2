import type { RecordedEvent } from '../event-store/event-store.js';

/** An event, and what it made of a row. */
export interface RowChange {
  readonly event: RecordedEvent;
  /** After the event; null: there is none. */
  readonly row: Readonly<Record<string, unknown>> | null;
}

/** Which events changed a row of the tables: only the read side knows. `resources.module.ts` wires it. */
export abstract class RowChanges {
  /**
   * The events that changed a row, in order.
   * @param key values of the primary key's columns.
   */
  abstract of(
    table: 'authors' | 'books' | 'author_book',
    key: Readonly<Record<string, string>>,
  ): Promise<readonly RowChange[]>;
}
