import { isStorableText, isUuid, type UnknownEvent } from '../stored-data.js';

/**
 * What operators did. A skip is in the stream `operations-<projection>`: every copy of the log goes by it. Other acts are in
 * the stream `operations-<log id>`: they tell of one log, and of the tables that were built from it. Names and shapes are
 * the wire format: they never change.
 */
export type OperationEvent = { readonly type: 'EventSkipped'; readonly data: SkippedEvent } | Act;

/** What an operator did to a log or to its tables. Written after the act took effect; no state depends on it. */
export type Act =
  | { readonly type: 'TablesRebuilt'; readonly data: TablesRebuilt }
  | { readonly type: 'TablesRepaired'; readonly data: TablesRepaired }
  | { readonly type: 'ParkedRetried'; readonly data: ParkedRetried }
  | { readonly type: 'LogTransferred'; readonly data: LogTransferred };

/** An event that was parked, and that has no effect on the projection from the skip on. */
export interface SkippedEvent {
  readonly stream: string;
  /** A decimal number, as text. */
  readonly revision: string;
  readonly eventId: string;
}

/** The tables that an act is about. */
interface ActedOn {
  readonly projection: string;
  readonly schema: string;
  readonly version: number;
}

/** The tables were built again from the log. */
export interface TablesRebuilt extends ActedOn {
  /** Token of the position that the tables had then; null if the log was empty. So is every `position` here. */
  readonly position: string | null;
  /** Number of events that the tables were built from. */
  readonly events: number;
  readonly parked: number;
  /** Number of rows that differed, and were written. */
  readonly rows: number;
}

/** Rows that differed from the log were repaired. */
export interface TablesRepaired extends ActedOn {
  /** Where tables and log were compared. */
  readonly position: string | null;
  readonly rows: number;
}

/** Parked events of a stream were tried again. */
export interface ParkedRetried extends ActedOn {
  readonly stream: string;
  /** Number of events that are in the tables now. */
  readonly applied: number;
  /** Number of events that are still parked. */
  readonly parked: number;
}

/** The log is a complete copy of another log. */
export interface LogTransferred {
  /** Id of the other log. */
  readonly from: string;
  /** Number of events of the other log. */
  readonly events: number;
}

export const OPERATIONS = 'operations';
/** @param name of a projection, or id of a log. */
export const operationsStream = (name: string): string => `${OPERATIONS}-${name}`;

/** What an event of such a stream skips; undefined for any other act, and for what no Colophon wrote. */
export function skippedBy({ type, data }: UnknownEvent): SkippedEvent | undefined {
  const { stream, revision, eventId } = Object(data) as Record<keyof SkippedEvent, unknown>;
  return type === ('EventSkipped' satisfies OperationEvent['type']) &&
    isStorableText(stream) &&
    typeof revision === 'string' &&
    /^\d{1,19}$/.test(revision) &&
    isUuid(eventId)
    ? { stream, revision, eventId }
    : undefined;
}
