import { DomainError } from '../domain-error.js';
import type { ChangeEvent } from './change.events.js';

/** A change, as a request to revert it must see the change. */
export interface KnownChange {
  /** Whether a revert of the change is in effect, and the change has done nothing since. */
  readonly reverted: boolean;
  /** Whether policies still carry the change out. */
  readonly underWay: boolean;
}

/** @param change undefined: no event belongs to the change. */
export function revertChange(
  id: string,
  change: KnownChange | undefined,
  command: { readonly correlationId: string },
): ChangeEvent[] {
  if (!change) throw new ChangeNotFound();
  if (command.correlationId === id) throw new RevertOfItself();
  if (change.underWay) throw new ChangeUnderWay();
  if (change.reverted) throw new ChangeAlreadyReverted();
  return [{ type: 'ChangeReverted', data: { change: id } }];
}

export class ChangeNotFound extends DomainError {
  readonly kind = 'not-found';
  readonly rule = 'change-not-found';
  override message = 'There is no change with this id.';
}

export class ChangeUnderWay extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'change-under-way';
  override message = 'The change is still under way; revert the change when it has ended.';
}

export class ChangeAlreadyReverted extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'change-already-reverted';
  override message = 'The change is reverted already.';
}

export class RevertOfItself extends DomainError {
  readonly kind = 'unprocessable';
  readonly rule = 'revert-of-itself';
  override message = 'A revert is a change of its own: X-Correlation-Id must not name the change to revert.';
}
