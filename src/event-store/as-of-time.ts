import type { Position } from './event-store.js';

interface Recorded {
  readonly position: Position;
  readonly recordedAt: Date;
}

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
    const sign = recordedAt <= this.time ? -1 : recordedAt <= this.now ? 1 : 0;
    this.takeAll({ position, least: sign, balance: sign });
  }

  /** Takes the next events at once: their later times less their earlier ones, and where that was least. */
  takeAll({ position, least, balance }: { position: Position; least: number; balance: number }): void {
    if (this.balance + least < this.least) {
      this.least = this.balance + least;
      this.position = position;
    }
    this.balance += balance;
  }
}

/** The position of a time in a log that has no index of times. */
export async function positionAsOf(
  log: AsyncIterable<readonly Recorded[]>,
  time: Date,
): Promise<Position | undefined> {
  const asOf = new AsOfTime(time);
  for await (const events of log) for (const event of events) asOf.take(event);
  return asOf.position;
}
