import { z } from 'zod';
import type { EventStore, Position } from './event-store.js';
import type { PositionTokens } from './position-token.js';

/** A moment in the log, either a position or a time. The event at the moment is included. */
export type Moment = { readonly position: Position } | { readonly time: Date };

// RFC 3339, with seconds or without; or a date alone, which means the first moment of that day in UTC. No place on earth
// is further from UTC than 14 hours.
const TIME =
  /^(\d{4}-\d\d-\d\d)(?:[Tt]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?([Zz]|[+-]((0\d|1[0-3]):[0-5]\d|14:00)))?$/;

export const MOMENT_RULE = 'must be a time such as 2026-01-31T12:00:00Z, or a position of this log';

/** @returns undefined if the text is no time in the years 1 to 9999, which PostgreSQL writes like JavaScript. */
export function parseTime(text: string): Date | undefined {
  const [, day = ''] = TIME.exec(text) ?? [];
  // JavaScript takes 30 February for 2 March.
  if (!z.regexes.date.test(day)) return undefined;
  const time = new Date(text.toUpperCase());
  return /^(?!0000)\d{4}-/.test(time.toISOString()) ? time : undefined;
}

/** @returns undefined if the text is neither a position of this log nor a time. */
export function parseMoment(text: string, tokens: PositionTokens): Moment | undefined {
  const position = tokens.parse(text);
  if (position !== undefined) return { position };
  // A `+` that the client didn't encode in the URL arrives as a space.
  const time = parseTime(text.replace(' ', '+'));
  return time && { time };
}

/** The moment is in the future of the log. */
export class YetToCome extends Error {
  constructor(moment: Moment) {
    super('time' in moment ? 'the time is in the future' : 'the position is beyond the end of the log');
  }
}

/**
 * The end of the log as of a moment: the position of its last event. Every later call for the same moment gives the same,
 * unless the store's clock was wrong.
 * @returns undefined if the log had no event by then.
 * @throws YetToCome
 */
export async function positionOf(store: EventStore, moment: Moment): Promise<Position | undefined> {
  if ('time' in moment) {
    if (!(await store.hasPassed(moment.time))) throw new YetToCome(moment);
    return store.positionAt(moment.time);
  }
  const head = await store.head();
  if (head === undefined || moment.position > head) throw new YetToCome(moment);
  return moment.position;
}
