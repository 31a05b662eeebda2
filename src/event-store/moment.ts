import type { Position } from './event-store.js';
import type { PositionTokens } from './position-token.js';

/** A moment in the log, either a position or a time. The event at the moment is included. */
export type Moment = { readonly position: Position } | { readonly time: Date };

// RFC 3339, or a date alone, which means the first moment of that day in UTC.
const TIME = /^\d{4}-\d\d-\d\d([Tt]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+ -]\d\d:\d\d))?$/;

export const MOMENT_RULE = 'must be a time such as 2026-01-31T12:00:00Z, or a position of this log';

/** @returns undefined if the text is neither a position of this log nor a time. */
export function parseMoment(text: string, tokens: PositionTokens): Moment | undefined {
  const position = tokens.parse(text);
  if (position !== undefined) return { position };
  // A `+` that the client didn't encode in the URL arrives as a space.
  const time = new Date(TIME.test(text) ? text.replace(/ (?=\d\d:\d\d$)/, '+') : NaN);
  return Number.isNaN(time.getTime()) ? undefined : { time };
}
