import type { EventStore, Position, RecordedEvent } from '../event-store/event-store.js';
import { flawOfChangeEvent, type ChangeEvent } from './change.events.js';
import { changeStream } from './change-stream.js';

/** Tells which reverts are in effect. A revert that was reverted itself is not. */
export class Reverts {
  constructor(private readonly store: Pick<EventStore, 'readStream'>) {}

  /** The last revert of a change that is in effect; undefined if none is. */
  async of(change: string): Promise<RecordedEvent | undefined> {
    const known = new Map<string, boolean>();
    for (const event of (await this.all(change)).toReversed())
      if (await this.isStanding(event, known)) return event;
    return undefined;
  }

  /** Whether a revert is in effect. */
  stands(revert: RecordedEvent): Promise<boolean> {
    return this.isStanding(revert, new Map());
  }

  /**
   * @param known what was found out already. Two changes with ids that callers chose may revert each other again and
   *        again; each revert is looked at once.
   */
  private async isStanding(revert: RecordedEvent, known: Map<string, boolean>): Promise<boolean> {
    let standing = known.get(revert.id);
    if (standing !== undefined) return standing;
    standing = true;
    // Only a later revert can undo this one, so this ends.
    for (const event of await this.all(revert.metadata.correlationId, revert.position))
      if (standing && (await this.isStanding(event, known))) standing = false;
    known.set(revert.id, standing);
    return standing;
  }

  private async all(change: string, after: Position = -1n): Promise<RecordedEvent[]> {
    const history = await this.store.readStream(changeStream(change));
    return history.filter(
      (event) =>
        event.position > after &&
        event.unreadable === undefined &&
        flawOfChangeEvent(event) === undefined &&
        (event.data as ChangeEvent['data']).change === change,
    );
  }
}
