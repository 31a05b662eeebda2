import { isStorableText, isUuid, type UnknownEvent } from '../stored-data.js';

/**
 * The events of a stream `operations-<projection>`: what operators did to the projection. Names and shapes are the wire
 * format: they never change.
 */
export interface OperationEvent {
  readonly type: 'EventSkipped';
  readonly data: SkippedEvent;
}

/** An event that was parked, and that has no effect on the projection from the skip on. */
export interface SkippedEvent {
  readonly stream: string;
  /** A decimal number, as text. */
  readonly revision: string;
  readonly eventId: string;
}

export const OPERATIONS = 'operations';
export const operationsStream = (projection: string): string => `${OPERATIONS}-${projection}`;

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
