import type { Position } from '../event-store/event-store.js';

/** Tells whether policies have done all that a change asks for. Wired in `resources.module.ts`. */
export abstract class ChangeProgress {
  /**
   * Waits for the end of a change. What a policy parked counts as ended.
   * @param position of the event that began the change.
   * @returns whether the change ended within `patienceMs`.
   */
  abstract ended(change: string, position: Position, patienceMs: number): Promise<boolean>;
}
