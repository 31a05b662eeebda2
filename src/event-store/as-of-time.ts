import type { Position } from './event-store.js';

interface Recorded {
  readonly position: Position;
  readonly recordedAt: Date;
}

/** Longest wait for a time that is passing: clocks of callers differ a little from that of the log. */
export const PASSING_MS = 1_000;

/**
 * Finds the place of a time among events whose clock may have been wrong, ahead or behind, by years even. It is the place
 * that the fewest recorded times contradict: times up to the time that come after it, and later times that come before
 * it. A time that is still to come is that of a clock that ran ahead, and contradicts nothing.
 */
export class AsOfTime {
  /** Position of the last event before the place; undefined if there is none. */
  position: Position | undefined;
  private balance = 0;
  private least = 0;

  constructor(
    readonly time: Date,
    readonly now = new Date(),
  ) {}

  /** Takes the next event, in order. */
  take({ position, recordedAt }: Recorded): void {
    this.count(this.signOf(recordedAt.getTime()), position, 1);
  }

  /**
   * Takes the next events at once, if their times stand on one side.
   * @returns false, and takes nothing, if each event must be looked at.
   */
  takeAll({ last, events, earliest, latest }: Part): boolean {
    const sign = this.signOf(earliest);
    if (sign !== this.signOf(latest)) return false;
    this.count(sign, last, events);
    return true;
  }

  private signOf(recordedAt: number): -1 | 0 | 1 {
    return recordedAt <= this.time.getTime() ? -1 : recordedAt <= this.now.getTime() ? 1 : 0;
  }

  private count(sign: -1 | 0 | 1, last: Position, events: number): void {
    this.balance += sign * events;
    if (this.balance >= this.least) return;
    this.least = this.balance;
    this.position = last;
  }
}

/** The events of a part of the log: how many there are, the last one's position and id, and the range of their times. */
export interface Part {
  readonly last: Position;
  readonly lastId: string;
  readonly events: number;
  /** Milliseconds since the epoch. */
  readonly earliest: number;
  readonly latest: number;
}

/** The log, as {@link TimesOfLog} reads it. */
export interface TimedLog {
  /** Parts after a position, in order, without what may still grow at the end of the log. */
  readonly parts: (after: Position | undefined) => AsyncIterable<readonly Part[]>;
  /** The events after a position, up to a position or to the end. */
  readonly times: (
    after: Position | undefined,
    to: Position | undefined,
  ) => AsyncIterable<readonly Recorded[]>;
  readonly holds: (position: Position, id: string) => Promise<boolean>;
}

/**
 * Finds positions of times in a log that has no index of times. The first search reads the whole log, and remembers the
 * range of times of every thousand events or so, 100 bytes each. Later searches read what was added, and the parts in
 * which the time lies.
 */
export class TimesOfLog {
  private parts: Part[] = [];
  private reading: Promise<void> | undefined;

  constructor(private readonly log: TimedLog) {}

  /** @returns the position of {@link AsOfTime}; undefined if there is none. */
  async positionAt(time: Date): Promise<Position | undefined> {
    await (this.reading ??= this.readOn().finally(() => (this.reading = undefined)));
    const asOf = new AsOfTime(time);
    let before: Position | undefined;
    const takeEach = async (to?: Position) => {
      for await (const events of this.log.times(before, to)) for (const event of events) asOf.take(event);
    };
    for (const part of [...this.parts]) {
      if (!asOf.takeAll(part)) await takeEach(part.last);
      before = part.last;
    }
    await takeEach();
    return asOf.position;
  }

  private async readOn(): Promise<void> {
    const last = this.parts.at(-1);
    // The log went back, or was replaced.
    if (last && !(await this.log.holds(last.last, last.lastId))) this.parts = [];
    for await (const parts of this.log.parts(this.parts.at(-1)?.last)) this.parts.push(...parts);
  }
}

/** Parts of a log that can only be read event by event: its pages, except for the last one. */
export async function* partsOf(
  pages: AsyncIterable<readonly (Recorded & { readonly id: string })[]>,
): AsyncIterable<readonly Part[]> {
  let part: Part | undefined;
  for await (const page of pages) {
    if (part) yield [part];
    const last = page.at(-1);
    if (!last) continue;
    const times = page.map(({ recordedAt }) => recordedAt.getTime());
    part = {
      last: last.position,
      lastId: last.id,
      events: page.length,
      earliest: Math.min(...times),
      latest: Math.max(...times),
    };
  }
}
