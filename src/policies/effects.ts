import type { DecidedEvent } from '../commands/streams.js';
import {
  RevisionConflict,
  type EventMetadata,
  type EventStore,
  type Position,
  type RecordedEvent,
} from '../event-store/event-store.js';
import { sizeOf } from '../event-store/size.js';
import { effectIdOf } from '../ids.js';
import type { Patience } from './patience.js';
import { Room } from './room.js';

/** An event, and the id of the change that its effects undo, if they do. */
export interface Cause {
  readonly event: RecordedEvent;
  readonly reverts?: string;
}

/** Other writers move a stream at any time. The pause after a conflict grows to this length. */
const LONGEST_PAUSE_MS = 64;
/** Bytes of an event besides its data. */
const EVENT_BYTES = 600;

/** Writes what an event means for other streams, in the name of whoever caused the event. */
export class Effects {
  private readonly room = new Room();

  constructor(
    private readonly store: EventStore,
    private readonly patience: Patience,
  ) {}

  /**
   * Reads a stream, decides, and appends, until no other writer is in between. The event ids follow from cause, stream and
   * revision: after a crash, the same decision at the same revision is the same append.
   * @param decide gets all events of the stream.
   * @returns the position of the last event that was written; undefined if there was nothing to write.
   * @throws what the decision throws, and the errors of {@link EventStore.append} other than an outage.
   */
  on(
    cause: Cause,
    stream: string,
    decide: (history: readonly RecordedEvent[]) => readonly DecidedEvent[] | Promise<readonly DecidedEvent[]>,
  ): Promise<Position | undefined> {
    return this.room.run(async (holds) => {
      for (let longest = 1; ; longest = Math.min(2 * longest, LONGEST_PAUSE_MS)) {
        const history = await this.patience.until(() => this.store.readStream(stream));
        holds(history.reduce((bytes, { data }) => bytes + sizeOf(data) + EVENT_BYTES, 0));
        const last = history.at(-1);
        if (!last) return undefined;
        const decided = await decide(history);
        if (decided.length === 0) return undefined;
        const id = (n: number) => effectIdOf(cause.event.id, stream, last.revision, n);
        const metadata = metadataOf(cause, id(0));
        const events = decided.map(({ type, data }, index) => ({ id: id(index + 1), type, data, metadata }));
        try {
          const append = () => this.store.append(stream, last.revision, events);
          return (await this.patience.until(append)).position;
        } catch (error) {
          if (!(error instanceof RevisionConflict)) throw error;
          await this.patience.rest(Math.random() * longest);
        }
      }
    });
  }
}

function metadataOf({ event, reverts }: Cause, commandId: string): EventMetadata {
  const { actor, onBehalfOf, reason, correlationId, traceParent } = event.metadata;
  return {
    commandId,
    actor,
    ...(onBehalfOf !== undefined && { onBehalfOf }),
    ...(reason !== undefined && { reason }),
    correlationId,
    causationId: event.id,
    ...(reverts !== undefined && { reverts }),
    ...(traceParent !== undefined && { traceParent }),
    schemaVersion: 1,
  };
}
