import { Logger } from '@nestjs/common';
import type { Client } from 'pg';
import { pause } from '../event-store/pause.js';
import { connect, isUnavailable } from '../postgres/database.js';
import { tryLead, type LeaderLock } from './leader-lock.js';

/** What a follower does with the log. */
export interface FollowerWork {
  /** For the lines that it logs, such as `projector catalogue`. */
  readonly name: string;
  /**
   * Called on a fresh connection, before each try for the lead.
   * @returns the lock to lead under; undefined to stand by.
   */
  readonly prepare: (client: Client, signal: AbortSignal) => Promise<LeaderLock | undefined>;
  /** Called with the lead: works through the log until the signal aborts. */
  readonly lead: (client: Client, signal: AbortSignal) => Promise<void>;
  /** Where the follower is, for the line that tells of an error. */
  readonly place: () => string;
}

export interface FollowerOptions {
  readonly connectionString: string;
  /** For tests: what stands between the follower and its connection. */
  readonly connect?: (connectionString: string) => Promise<Client>;
}

/** Somebody else changed what the follower goes by; it begins anew from what is there. No trouble to tell anybody of. */
export class LeadLost extends Error {}

const STANDBY_MS = 500;
const RETRY_MS = 500;
const LOST_MS = 20;

/**
 * Works through the log in order, for as long as the process runs: one process leads, under a lock of a session; others
 * stand by and take over when that session ends. Whatever ends the work, it is taken up again.
 */
export class Follower {
  private readonly logger: Logger;
  private readonly stop = new AbortController();
  private running: Promise<void> | undefined;
  private leading = false;
  private lastError: string | undefined;

  constructor(
    private readonly work: FollowerWork,
    private readonly options: FollowerOptions,
  ) {
    this.logger = new Logger(work.name);
  }

  /** Whether this process leads. */
  get active(): boolean {
    return this.leading;
  }

  /** What keeps it from going on. */
  get error(): string | undefined {
    return this.lastError;
  }

  start(): void {
    this.running = this.run();
  }

  async close(): Promise<void> {
    this.stop.abort();
    await this.running;
  }

  /** To be called after every step that succeeded. */
  progressed(): void {
    if (this.lastError !== undefined) this.logger.log('going on again');
    this.lastError = undefined;
  }

  /** Says what went wrong once, not at every attempt. */
  report(error: unknown): void {
    if (this.stop.signal.aborted || error instanceof LeadLost) return;
    const message = error instanceof Error ? error.message : String(error);
    if (message === this.lastError) return;
    this.lastError = message;
    if (isUnavailable(error)) this.logger.warn(`waiting for the database: ${message}`);
    else this.logger.error(`stuck ${this.work.place()}: ${message}`);
  }

  private async run(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      let client: Client | undefined;
      try {
        client = await (this.options.connect ?? connect)(this.options.connectionString);
        const lock = await this.work.prepare(client, signal);
        if (lock && (await tryLead(client, lock))) await this.lead(client);
        else await pause(STANDBY_MS, signal);
      } catch (error) {
        this.leading = false;
        this.report(error);
        await pause(error instanceof LeadLost ? LOST_MS : RETRY_MS, signal);
      } finally {
        this.leading = false;
        await client?.end().catch(() => undefined);
      }
    }
  }

  private async lead(client: Client): Promise<void> {
    // A lost connection must end the wait for events: the lock went with it.
    const lost = new AbortController();
    client.once('end', () => lost.abort());
    this.leading = true;
    await this.work.lead(client, AbortSignal.any([this.stop.signal, lost.signal]));
  }
}
