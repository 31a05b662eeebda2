import type { Position } from './event-store.js';
import type { Moment } from './moment.js';

/** Which events to show: those that meet all conditions. */
export interface EventFilter {
  readonly types?: readonly string[] | undefined;
  readonly stream?: string | undefined;
  readonly actor?: string | undefined;
  /** Id of a change. */
  readonly change?: string | undefined;
  /** Ids of an author and of a book that the event concerns. */
  readonly author?: string | undefined;
  readonly book?: string | undefined;
  /** The event at the moment is included. */
  readonly since?: Moment | undefined;
  readonly until?: Moment | undefined;
}

/** A part of the events that a filter finds. */
export interface FindOptions {
  /** Only events after this position, in the direction of the search. */
  readonly after?: Position | undefined;
  readonly backward?: boolean | undefined;
  /** Largest number of events. */
  readonly limit: number;
  /** Later events are left out. */
  readonly upTo: Position;
  /** Aborts when the caller leaves. */
  readonly caller?: AbortSignal | undefined;
}

/** Positions of events that were found, in order. */
export interface Found {
  readonly positions: readonly Position[];
  /** The place to go on from; undefined if no more events can be found. */
  readonly next: Position | undefined;
}

/** How far the search knows the log. */
export interface Reached {
  /** Position of the last event that can be found. */
  readonly upTo: Position;
  /** Whether every event can be found that the log had at the time of the question. */
  readonly current: boolean;
}

/** Finds events of the log by index. Only the read side can. Wired in `resources.module.ts`. */
export abstract class EventSearch {
  /**
   * Waits a moment for a position, or for the log's head as of the call.
   * @returns undefined if no event can be found.
   * @throws Problem 503 if the search doesn't follow the log, or doesn't reach the position in time.
   */
  abstract reach(position?: Position): Promise<Reached | undefined>;

  /** Fewer events than the limit are found if it takes long to find events that meet all conditions. */
  abstract find(filter: EventFilter, options: FindOptions): Promise<Found>;
}
