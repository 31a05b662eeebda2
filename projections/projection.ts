import type { ClientBase } from 'pg';
import {
  categoryOf,
  type EventStore,
  type Position,
  type ProjectableEvent,
  type RecordedEvent,
} from '../src/event-store/event-store.js';
import type { CopyValue } from '../src/postgres/copy.js';

/** Relational tables derived from the log. */
export interface Projection {
  readonly name: string;
  /** Must be raised with every change of the tables or of the fold. */
  readonly version: number;
  /** The oldest version of the tables that this version's queries can read while tables of this version are built. */
  readonly readable: number;
  /** Shortest time between two batches at the head of the log, in milliseconds. Fewer and larger batches cost less. */
  readonly gatherMs?: number;
  /** The categories of the streams that the projection folds. */
  readonly categories: readonly string[];
  /** Names of the tables. A table comes before the tables that refer to the table. */
  readonly tables: readonly string[];
  /** The tables that the login for SQL clients can read. Default: none. */
  readonly shown?: readonly string[];
  /** Statements with unqualified names: first the bare tables, then primary keys and indexes, then foreign keys. */
  readonly columns: () => string;
  readonly keys: () => string;
  readonly references: () => string;
  /** Names of the indexes that {@link apply} needs in addition to the primary keys. */
  readonly lookups?: readonly string[];
  /** A query for the number of events in the tables, by the revisions in the tables. */
  readonly accounted: string;
  /** A query for the revision that the tables have of a stream, by category (`$1`) and id (`$2`); no row if none. */
  readonly reached: string;
  /** Applies events to the tables, in order. The caller holds the transaction. */
  readonly apply: (client: ClientBase, events: readonly RecordedEvent[]) => Promise<void>;
  /** Deletes what the tables have of a stream, as if no event of the stream had been applied. */
  readonly forget: (client: ClientBase, stream: string) => Promise<void>;
  /** Sets or clears the stale mark on the rows of these streams. */
  readonly mark: (client: ClientBase, streams: readonly string[], stale: boolean) => Promise<void>;
  readonly bulk: Bulk;
  /**
   * The events that changed a row, in order.
   * @param key values of the primary key columns, by column name.
   * @param to ignores events after this position.
   */
  readonly explain: (
    store: EventStore,
    table: string,
    key: Readonly<Record<string, string>>,
    to?: Position,
  ) => Promise<RowChange[]>;
}

/** An event, and the row after that event. */
export interface RowChange {
  readonly event: RecordedEvent;
  /** The row after the event; null if the event left no row. */
  readonly row: Readonly<Record<string, unknown>> | null;
}

/** Whether a projection folds the events of a stream. */
export const concerns = ({ categories }: Projection, { stream }: Pick<ProjectableEvent, 'stream'>): boolean =>
  categories.includes(categoryOf(stream));

/** The same fold for whole streams. Writes each row once. */
export interface Bulk {
  /** The columns of each table, in the order of {@link rows}. */
  readonly columns: Readonly<Record<string, readonly string[]>>;
  /** Whether a stream may begin at any revision. Otherwise, the events of a stream that lost events are parked. */
  readonly gaps?: boolean;
  /**
   * The state of a stream's author or book after one more event.
   * @throws if the event doesn't fit.
   */
  readonly fold: (standing: unknown, event: ProjectableEvent) => unknown;
  /** The rows of a stream after its last event. */
  readonly rows: (
    stream: string,
    standing: unknown,
    add: (table: string, values: readonly CopyValue[]) => void,
  ) => void;
  /** Settles rows that depend on several streams. Runs after all rows are loaded, before the keys are created. */
  readonly settle: (client: ClientBase) => Promise<void>;
}
