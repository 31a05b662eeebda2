import type { Logger } from '@nestjs/common';
import { AnotherLog, EventStoreUnavailable } from '../event-store/event-store.js';
import { pause } from '../event-store/pause.js';
import { LeadLost } from '../followers/follower.js';
import { inWords, isUnavailable, sqlState } from '../postgres/errors.js';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/** The work was given up because the process is no longer the leader, or stops. */
export class GivenUp extends LeadLost {}

/**
 * Whether an error is about a store or a database, and not about what stands in a stream. A server that refuses a statement
 * would refuse it for every stream.
 */
export const isOutage = (error: unknown): boolean =>
  error instanceof EventStoreUnavailable ||
  error instanceof AnotherLog ||
  error instanceof GivenUp ||
  isUnavailable(error) ||
  sqlState(error) !== undefined;

/** Repeats what fails because a store is away. Many may wait at a time; the first and the last are told. */
export class Patience {
  private failing = 0;
  private current: { readonly message: string; readonly since: Date } | undefined;

  constructor(
    private readonly signal: AbortSignal,
    private readonly logger: Pick<Logger, 'warn' | 'log'>,
  ) {}

  /** What the work waits for; undefined if nothing. */
  get trouble(): { readonly message: string; readonly since: Date } | undefined {
    return this.current;
  }

  /**
   * @throws GivenUp if the signal aborts.
   * @throws whatever else the work throws.
   */
  async until<T>(work: () => Promise<T>): Promise<T> {
    let told = false;
    try {
      for (let longest = FIRST_PAUSE_MS; ; longest = Math.min(2 * longest, LONGEST_PAUSE_MS)) {
        if (this.signal.aborted) throw new GivenUp();
        try {
          return await work();
        } catch (error) {
          if (!isOutage(error) || error instanceof AnotherLog || error instanceof GivenUp) throw error;
          if (!told) this.begin(error);
          told = true;
          await pause(longest * (0.5 + Math.random() / 2), this.signal);
        }
      }
    } finally {
      if (told) this.end();
    }
  }

  /** Waits for something that says itself whether it has come. Told after {@link slowMs}. */
  async come(come: (patienceMs: number) => Promise<boolean>, what: string, slowMs = 15_000): Promise<void> {
    const began = performance.now();
    let told = false;
    try {
      while (!(await this.until(() => come(1_000)))) {
        if (told || performance.now() - began < slowMs) continue;
        this.begin(new Error(what));
        told = true;
      }
    } finally {
      if (told) this.end();
    }
  }

  /** A pause that ends when the work is given up. */
  rest(milliseconds: number): Promise<void> {
    return pause(milliseconds, this.signal);
  }

  private begin(error: unknown): void {
    this.failing += 1;
    if (this.current) return;
    this.current = { message: inWords(error), since: new Date() };
    this.logger.warn(`waiting: ${this.current.message}`);
  }

  private end(): void {
    this.failing -= 1;
    if (this.failing > 0) return;
    this.current = undefined;
    if (!this.signal.aborted) this.logger.log('working again');
  }
}
