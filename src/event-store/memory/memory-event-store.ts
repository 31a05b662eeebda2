import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { partsOf, TimesOfLog } from '../as-of-time.js';
import { checkAppend } from '../check-append.js';
import { decode } from '../decode.js';
import {
  categoryOf,
  EventStore,
  READ_BATCH,
  RevisionConflict,
  type AppendResult,
  type Batch,
  type ExpectedRevision,
  type NewEvent,
  type Position,
  type ReadAllOptions,
  type RecordedEvent,
  type StreamRange,
} from '../event-store.js';

/** A log in an array, for tests of the domain. The log ends with the process. */
export class MemoryEventStore extends EventStore {
  private readonly id = randomUUID();
  private readonly log: RecordedEvent[] = [];
  private readonly times = new TimesOfLog({
    parts: (from) => partsOf(this.readAll({ from })),
    times: (from, to) => this.readAll({ from, to }),
    holds: (position, id) => this.holds(position, id),
  });
  private readonly appended = new EventEmitter().setMaxListeners(0);

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult> {
    checkAppend(events);
    const recorded = this.log.filter((event) => event.stream === stream);
    const before = expected === 'no-stream' ? -1n : expected;
    if (BigInt(recorded.length) - 1n !== before) {
      const there = recorded.slice(Number(before) + 1, Number(before) + 1 + events.length);
      const last = there.at(-1);
      if (last && events.every((event, index) => event.id === there[index]?.id))
        return { revision: last.revision, position: last.position };
      throw new RevisionConflict(stream, expected, recorded.at(-1)?.revision ?? 'no-stream');
    }
    const recordedAt = new Date();
    events.forEach((event, index) =>
      this.log.push(
        decode({
          ...structuredClone(event),
          stream,
          revision: before + 1n + BigInt(index),
          position: BigInt(this.log.length + 1),
          recordedAt,
        }),
      ),
    );
    this.appended.emit('wake');
    return { revision: before + BigInt(events.length), position: BigInt(this.log.length) };
  }

  async readStream(
    stream: string,
    { after = -1n, limit = Infinity }: StreamRange = {},
  ): Promise<readonly RecordedEvent[]> {
    return this.log.filter((event) => event.stream === stream && event.revision > after).slice(0, limit);
  }

  async *readAll(options: ReadAllOptions = {}): AsyncIterable<readonly RecordedEvent[]> {
    const {
      direction = 'forward',
      from,
      to,
      categories,
      types,
      stream,
      batchSize = READ_BATCH,
      caller,
    } = options;
    const matching = this.log.filter(
      (event) =>
        (from === undefined || (direction === 'forward' ? event.position > from : event.position < from)) &&
        (to === undefined || event.position <= to) &&
        (!categories || categories.includes(categoryOf(event.stream))) &&
        (!types || types.includes(event.type)) &&
        (stream === undefined || event.stream === stream),
    );
    if (direction === 'backward') matching.reverse();
    for (let start = 0; start < matching.length; start += batchSize) {
      caller?.throwIfAborted();
      yield matching.slice(start, start + batchSize);
    }
  }

  async *readAt(
    positions: readonly Position[],
    caller?: AbortSignal,
  ): AsyncIterable<readonly RecordedEvent[]> {
    caller?.throwIfAborted();
    const events = positions.flatMap((position) => this.log[Number(position) - 1] ?? []);
    if (events.length > 0) yield events;
  }

  async *subscribe(after: Position | undefined, signal: AbortSignal): AsyncIterable<Batch> {
    let next = Number(after ?? 0n);
    for (let first = true; !signal.aborted; first = false) {
      const events = this.log.slice(next);
      next += events.length;
      if (events.length > 0 || first) yield { events, caughtUp: true };
      if (next === this.log.length) await once(this.appended, 'wake', { signal }).catch(() => undefined);
    }
  }

  async holds(position: Position, id: string): Promise<boolean> {
    return this.log[Number(position) - 1]?.id === id;
  }

  async head(): Promise<Position | undefined> {
    return this.log.at(-1)?.position;
  }

  async hasPassed(time: Date): Promise<boolean> {
    while (time.getTime() === Date.now()) await setTimeout(1);
    return time.getTime() < Date.now();
  }

  positionAt(time: Date): Promise<Position | undefined> {
    return this.times.positionAt(time);
  }

  async logId(): Promise<string> {
    return this.id;
  }

  async close(): Promise<void> {}
}
