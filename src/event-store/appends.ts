import { MAX_APPEND_BYTES } from '../stored-data.js';
import type { RecordedEvent } from './event-store.js';

type Follows = (before: RecordedEvent, event: RecordedEvent) => boolean;

/** Whether an event that follows another in the log came by the same command, which appends once to a stream. */
export const sameCommand: Follows = (before, event) =>
  before.stream === event.stream &&
  before.revision + 1n === event.revision &&
  before.metadata.commandId === event.metadata.commandId &&
  before.unreadable === undefined &&
  event.unreadable === undefined;

/** Other programs may append events of several commands together. Those have one time, but so may two appends. */
const maybeTogether: Follows = (before, event) =>
  sameCommand(before, event) ||
  (before.stream === event.stream &&
    before.revision + 1n === event.revision &&
    before.recordedAt.getTime() === event.recordedAt.getTime());

/** More than an append of Colophon has: another program can write what looks like one endless append. */
const MOST_EVENTS = 10_000;

/**
 * Cuts what a follower reads of the log into batches that end where an append ends. So no reader of the tables sees a
 * part of an append. Holds the events of one append at most.
 */
export class WholeAppends {
  private held: readonly RecordedEvent[] = [];

  /**
   * @param ends whether the last append is complete, because the log had no more.
   * @returns the events that were held, and these, except for an append at the end that may go on.
   */
  take(events: readonly RecordedEvent[], ends: boolean): readonly RecordedEvent[] {
    const all = [...this.held, ...events];
    for (const together of ends ? [] : [maybeTogether, sameCommand]) {
      const start = startOfLast(all, together);
      this.held = all.slice(start);
      if (isOneAppend(this.held)) return all.slice(0, start);
    }
    this.held = [];
    return all;
  }
}

function startOfLast(events: readonly RecordedEvent[], together: Follows): number {
  let start = Math.max(0, events.length - 1);
  for (; start > 0; start -= 1) {
    const [before, event] = events.slice(start - 1, start + 1);
    if (!before || !event || !together(before, event)) break;
  }
  return start;
}

function isOneAppend(events: readonly RecordedEvent[]): boolean {
  let bytes = 0;
  for (const { data } of events) bytes += Buffer.byteLength(JSON.stringify(data));
  return bytes <= MAX_APPEND_BYTES && events.length <= MOST_EVENTS;
}
