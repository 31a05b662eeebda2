import { isStorableText, type UnknownEvent } from '../stored-data.js';

/** The events of a change's stream, `change-<uuid>`. Names and shapes are the wire format: they never change. */
export interface ChangeEvent {
  /** The change with this id is to be undone, as far as nobody has changed its effects since. */
  readonly type: 'ChangeReverted';
  readonly data: { readonly change: string };
}

export const CHANGE = 'change';

/** Why an event can't be one of a change's stream; undefined if the event can be one. */
export function flawOfChangeEvent({ type, data }: UnknownEvent): string | undefined {
  if (type !== ('ChangeReverted' satisfies ChangeEvent['type'])) return 'this version does not know its type';
  return isStorableText((data as { change?: unknown }).change)
    ? undefined
    : 'its change is not text that a table can hold';
}
