import type { ClientBase } from 'pg';
import {
  categoryOf,
  type EventStore,
  type Position,
  type ProjectableEvent,
  type RecordedEvent,
} from '../src/event-store/event-store.js';
import type { CopyValue } from '../src/postgres/copy.js';

/** Relational tables as a function of the log. */
export interface Projection {
  readonly name: string;
  /** Raised with every change of the tables or of what is folded into them. */
  readonly version: number;
  /** The oldest version of the tables that this version's queries can read, while its own are being built. */
  readonly readable: number;
  /** The categories of streams that it is made from. */
  readonly categories: readonly string[];
  /** Names of the tables, those that are referred to before those that refer to them. */
  readonly tables: readonly string[];
  /** Statements, with unqualified names: first the bare tables, then primary keys and indexes, then foreign keys. */
  readonly columns: () => string;
  readonly keys: () => string;
  readonly references: () => string;
  /** A query for the number of events that the tables hold, by their own account. */
  readonly accounted: string;
  /** Takes the effect of events, in order, into the tables. The caller holds the transaction. */
  readonly apply: (client: ClientBase, events: readonly RecordedEvent[]) => Promise<void>;
  /** Marks what the streams are about as stale, or no longer so. */
  readonly mark: (client: ClientBase, streams: readonly string[], stale: boolean) => Promise<void>;
  readonly bulk: Bulk;
  /**
   * The events that changed a row, in order.
   * @param key values of the primary key's columns.
   * @param to leaves out what came later.
   */
  readonly explain: (
    store: EventStore,
    table: string,
    key: Readonly<Record<string, string>>,
    to?: Position,
  ) => Promise<RowChange[]>;
}

/** An event, and what it made of a row. */
export interface RowChange {
  readonly event: RecordedEvent;
  /** After the event; null: there is none. */
  readonly row: Readonly<Record<string, unknown>> | null;
}

/** Whether a projection is made from an event. */
export const concerns = ({ categories }: Projection, { stream }: ProjectableEvent): boolean =>
  categories.includes(categoryOf(stream));

/** The same fold for whole streams at a time, each row written once. */
export interface Bulk {
  /** The columns in the order of {@link rows}, by table. */
  readonly columns: Readonly<Record<string, readonly string[]>>;
  /** A stream's standing after one more event. @throws for an event that doesn't fit. */
  readonly fold: (standing: unknown, event: ProjectableEvent) => unknown;
  /** The rows of a stream that has been folded to its end. */
  readonly rows: (
    stream: string,
    standing: unknown,
    add: (table: string, values: readonly CopyValue[]) => void,
  ) => void;
  /** Brings together what is known of several streams, once all rows are in, keys aren't. */
  readonly settle: (client: ClientBase) => Promise<void>;
}
