import { DomainError } from '../domain-error.js';
import { operationsStream, skippedBy, type OperationEvent, type SkippedEvent } from './operations.events.js';

/** What operators did to a projection, as later acts need it. */
export interface Operations {
  readonly status: 'unknown' | 'live';
  /** Ids of the skipped events. */
  readonly skipped: readonly string[];
}

export const noOperations: Operations = { status: 'unknown', skipped: [] };

/** The stream of a projection's acts. What another program wrote there must not keep an operator from the next act. */
export const operationsOf = (projection: string) =>
  ({
    id: projection,
    stream: operationsStream(projection),
    initial: noOperations,
    evolve: evolveOperations,
    flawOf: () => undefined,
    tolerant: true,
  }) as const;

/** Readers of the tables' history hold the skipped events in memory. With more of them, the events are not the cause. */
export const MAX_SKIPPED = 10_000;

export function evolveOperations({ skipped }: Operations, event: OperationEvent): Operations {
  // A newer version knows other acts.
  const skip = skippedBy(event);
  return { status: 'live', skipped: skip ? [...skipped, skip.eventId] : skipped };
}

export function skipEvent({ skipped }: Operations, event: SkippedEvent): OperationEvent[] {
  if (skipped.includes(event.eventId)) return [];
  if (skipped.length >= MAX_SKIPPED) throw new TooManySkipped();
  return [{ type: 'EventSkipped', data: event }];
}

export class TooManySkipped extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'too-many-skipped';
  override message = `At most ${MAX_SKIPPED} events of a projection can be skipped.`;
}
