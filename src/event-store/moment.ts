import type { Position } from './event-store.js';
import type { PositionTokens } from './position-token.js';

/** A moment of the log, its events included: a position, or a time. */
export type Moment = { readonly position: Position } | { readonly time: Date };

// RFC 3339, or a date alone, which is its first moment in UTC.
const TIME = /^\d{4}-\d\d-\d\d([Tt]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+ -]\d\d:\d\d))?$/;

export const MOMENT_RULE = 'must be a time such as 2026-01-31T12:00:00Z, or a position that this log gave';

/** @returns undefined for a text that is neither. */
export function parseMoment(text: string, tokens: PositionTokens): Moment | undefined {
  const position = tokens.parse(text);
  if (position !== undefined) return { position };
  // A `+` in an address that wasn't encoded arrives as a space.
  const time = new Date(TIME.test(text) ? text.replace(/ (?=\d\d:\d\d$)/, '+') : NaN);
  return Number.isNaN(time.getTime()) ? undefined : { time };
}
