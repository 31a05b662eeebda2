import type { EventStore, RecordedEvent } from '../event-store/event-store.js';
import { flawOfChangeEvent, type ChangeEvent } from './change.events.js';
import { changeStream } from './change-stream.js';

/** Tells which reverts are in effect. A revert that was reverted itself is not. */
export class Reverts {
  constructor(private readonly store: Pick<EventStore, 'readStream'>) {}

  /** The last revert of a change that is in effect; undefined if none is. */
  async of(change: string): Promise<RecordedEvent | undefined> {
    const known = new Known(this.store);
    for (const event of (await known.of(change)).toReversed())
      if (await this.isStanding(event, known)) return event;
    return undefined;
  }

  /** Whether a revert is in effect. */
  stands(revert: RecordedEvent): Promise<boolean> {
    return this.isStanding(revert, new Known(this.store));
  }

  private async isStanding(revert: RecordedEvent, known: Known): Promise<boolean> {
    let standing = known.standing.get(revert.id);
    if (standing !== undefined) return standing;
    standing = true;
    // Only a later revert can undo this one, so this ends.
    for (const event of await known.of(revert.metadata.correlationId))
      if (standing && event.position > revert.position && (await this.isStanding(event, known)))
        standing = false;
    known.standing.set(revert.id, standing);
    return standing;
  }
}

/**
 * What was found out for one question. Two changes with ids that callers chose may revert each other again and again: each
 * stream is read once, and each revert is looked at once.
 */
class Known {
  readonly standing = new Map<string, boolean>();
  private readonly streams = new Map<string, Promise<readonly RecordedEvent[]>>();

  constructor(private readonly store: Pick<EventStore, 'readStream'>) {}

  /** The reverts of a change. */
  of(change: string): Promise<readonly RecordedEvent[]> {
    const found = this.streams.get(change) ?? this.read(change);
    this.streams.set(change, found);
    return found;
  }

  private async read(change: string): Promise<readonly RecordedEvent[]> {
    const history = await this.store.readStream(changeStream(change));
    return history.filter(
      (event) =>
        event.unreadable === undefined &&
        flawOfChangeEvent(event) === undefined &&
        (event.data as ChangeEvent['data']).change === change,
    );
  }
}
