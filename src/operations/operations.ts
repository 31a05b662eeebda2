import { DomainError } from '../domain-error.js';
import {
  operationsStream,
  skippedBy,
  type Act,
  type LogTransferred,
  type OperationEvent,
  type SkippedEvent,
} from './operations.events.js';

/** What operators did to a projection or a log, as later acts need it. */
export interface Operations {
  readonly status: 'unknown' | 'live';
  /** Ids of the skipped events. */
  readonly skipped: readonly string[];
  /** What the last transfer into the log told. */
  readonly transferred?: LogTransferred;
}

export const noOperations: Operations = { status: 'unknown', skipped: [] };

/**
 * The stream of acts on a projection or a log. What another program wrote there must not keep an operator from the next
 * act.
 */
export const operationsOf = (name: string) =>
  ({
    id: name,
    stream: operationsStream(name),
    initial: noOperations,
    evolve: evolveOperations,
    flawOf: () => undefined,
    tolerant: true,
  }) as const;

/** Readers of the tables' history hold the skipped events in memory. With more of them, the events are not the cause. */
export const MAX_SKIPPED = 10_000;

export function evolveOperations({ skipped, ...rest }: Operations, event: OperationEvent): Operations {
  // A newer version knows other acts.
  const skip = skippedBy(event);
  return {
    ...rest,
    status: 'live',
    skipped: skip ? [...skipped, skip.eventId] : skipped,
    ...(event.type === 'LogTransferred' && { transferred: event.data }),
  };
}

/** An act took effect already, so no rule can refuse it. A copy is told once, however often its transfer is repeated. */
export function tellAct({ transferred }: Operations, act: Act): OperationEvent[] {
  const told =
    act.type === 'LogTransferred' &&
    transferred?.from === act.data.from &&
    transferred.events === act.data.events;
  return told ? [] : [act];
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
