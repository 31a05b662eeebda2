import { isDeepStrictEqual } from 'node:util';
import { OperatorError } from '../errors.js';
import { sameCommand } from './appends.js';
import { asFound } from './decode.js';
import {
  RevisionConflict,
  type EventStore,
  type NewEvent,
  type Position,
  type RecordedEvent,
} from './event-store.js';

/** The target's events differ from the first events of the source. */
export class NotACopy extends OperatorError {}

/** The progress of a transfer. */
export interface TransferProgress {
  /** Events copied in this run. */
  readonly events: number;
  /** Position of the last copied event in the source. */
  readonly position: Position;
}

/**
 * Copies a log in order, one append after another. Keeps ids, data, revisions and metadata, and writes the time of
 * first recording into each event's metadata. A second run resumes at the end of the target.
 * @param apart a stream that tells of the target itself, and is no part of the copy.
 * @throws NotACopy if the target holds other events, or if another program deleted events of the source.
 */
export async function* transfer(
  source: EventStore,
  target: EventStore,
  apart?: string,
): AsyncIterable<TransferProgress> {
  let events = 0;
  for await (const group of appends(source, apart, await endOfCopy(source, target, apart))) {
    const [first] = group;
    const last = group.at(-1);
    if (!first || !last) continue;
    const expected = first.revision === 0n ? 'no-stream' : first.revision - 1n;
    await target.append(first.stream, expected, group.map(asNew)).catch((error: unknown) => {
      throw error instanceof RevisionConflict && isBehind(error) ? new NotACopy(gapBefore(first)) : error;
    });
    events += group.length;
    yield { events, position: last.position };
  }
}

/**
 * Reads both logs in parallel and compares each pair of events.
 * @param apart as in {@link transfer}.
 * @returns the number of events in each log.
 * @throws NotACopy that names the first event that differs.
 */
export async function compareLogs(source: EventStore, target: EventStore, apart?: string): Promise<number> {
  const copies = eventsOf(target, apart);
  let events = 0;
  for await (const event of eventsOf(source, apart)) {
    const { value: copy } = await copies.next();
    if (!copy) throw new NotACopy(`${nameOf(event)} is missing`);
    if (!isDeepStrictEqual(comparable(event), comparable(copy)))
      throw new NotACopy(`${nameOf(event)} differs from ${nameOf(copy)}`);
    events += 1;
  }
  const { value: surplus } = await copies.next();
  if (surplus) throw new NotACopy(`${nameOf(surplus)} is only in the target`);
  return events;
}

/** The end of the copy: the position in the source of the target's last event. */
async function endOfCopy(
  source: EventStore,
  target: EventStore,
  apart: string | undefined,
): Promise<Position | undefined> {
  for await (const events of target.readAll({ direction: 'backward', batchSize: 10 })) {
    const last = events.find(({ stream }) => stream !== apart);
    if (!last) continue;
    const [original] = await source.readStream(last.stream, { after: last.revision - 1n, limit: 1 });
    if (original?.id !== last.id)
      throw new NotACopy(`the target holds ${nameOf(last)}, which the source does not`);
    return original.position;
  }
  return undefined;
}

/** Groups of events that one append brought. */
async function* appends(
  source: EventStore,
  apart: string | undefined,
  after: Position | undefined,
): AsyncIterable<RecordedEvent[]> {
  let group: RecordedEvent[] = [];
  for await (const event of eventsOf(source, apart, after)) {
    const before = group.at(-1);
    if (before && !sameCommand(before, event)) {
      yield group;
      group = [];
    }
    group.push(event);
  }
  if (group.length > 0) yield group;
}

async function* eventsOf(
  store: EventStore,
  apart: string | undefined,
  after?: Position,
): AsyncGenerator<RecordedEvent, undefined> {
  for await (const events of store.readAll({ from: after }))
    yield* events.filter(({ stream }) => stream !== apart);
  return undefined;
}

/** An event that can't be read is copied as found: a repaired copy would be applied, and give other tables. */
function asNew({ id, type, data, metadata, recordedAt, stored }: RecordedEvent): NewEvent {
  if (stored) return { id, type, ...asFound(stored) };
  return { id, type, data, metadata: { ...metadata, recordedAt: recordedAt.toISOString() } };
}

/** All but the place in the log. An unreadable event can't carry the time at which the first log recorded it. */
function comparable({ position: _, metadata, stored: __, recordedAt, unreadable, ...event }: RecordedEvent) {
  const { recordedAt: ___, ...rest } = metadata;
  return { ...event, metadata: rest, ...(unreadable === undefined ? { recordedAt } : { unreadable: true }) };
}

/** Whether the stream lacks events before those that were to be appended. */
const isBehind = ({ expected, actual }: RevisionConflict): boolean =>
  expected !== 'no-stream' && (actual === 'no-stream' || actual < expected);

const gapBefore = ({ stream, revision }: RecordedEvent): string =>
  `the source has no events of ${stream} before revision ${revision}: another program deleted them, so the log can't be copied`;

const nameOf = ({ stream, revision, type }: RecordedEvent): string => `${type} ${revision} of ${stream}`;
