import type { Position } from '../event-store/event-store.js';

/** What policies still do for a change. */
export interface UnderWay {
  /** Type of the event that policies carry out. */
  readonly what: string;
  /** Number of authors and books that were changed. */
  readonly done: number;
  /** Number of those for which this failed. */
  readonly parked: number;
}

/** A fact that a revert left as it was. */
export interface LeftAsItWas {
  readonly facts: readonly {
    readonly stream: string;
    readonly fact: string;
    readonly why: string;
    /** Position of the event that changed the fact since. */
    readonly since: Position | undefined;
  }[];
  readonly total: number;
}

/** Tells whether policies have done all that a change asks for. Wired in `resources.module.ts`. */
export abstract class ChangeProgress {
  /**
   * Waits for the end of a change. What a policy parked counts as ended.
   * @param position of the event that began the change.
   * @returns whether the change ended within `patienceMs`; false if that is unknown, because the database is away.
   */
  abstract ended(change: string, position: Position, patienceMs: number): Promise<boolean>;

  /** Waits until policies know what follows from the events up to a position. */
  abstract reached(position: Position, patienceMs: number): Promise<boolean>;

  /** What is still to be done for a change. */
  abstract underWay(change: string): Promise<readonly UnderWay[]>;

  /** What a revert left as it was, as far as policies got. */
  abstract leftAlone(revert: string, limit: number): Promise<LeftAsItWas>;
}
