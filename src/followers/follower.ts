import { Logger } from '@nestjs/common';
import type { Client } from 'pg';
import { pause } from '../event-store/pause.js';
import { connect, isUnavailable } from '../postgres/database.js';
import { tryLead, type LeaderLock } from './leader-lock.js';

/** The work that a follower does with the log. */
export interface FollowerWork {
  /** Name for log lines, such as `projector catalogue`. */
  readonly name: string;
  /**
   * Called on a fresh connection, before each attempt to become leader.
   * @returns the lock that the leader needs; undefined to stay a standby.
   */
  readonly prepare: (client: Client, signal: AbortSignal) => Promise<LeaderLock | undefined>;
  /** Called as leader. Works through the log until the signal aborts. */
  readonly lead: (client: Client, signal: AbortSignal) => Promise<void>;
  /** The follower's place in the log, for log lines about errors. */
  readonly place: () => string;
}

export interface FollowerOptions {
  readonly connectionString: string;
  /** For tests: replaces the function that opens the connection. */
  readonly connect?: (connectionString: string) => Promise<Client>;
}

/** Another process changed the follower's state. The follower starts over from the current state. Not reported. */
export class LeadLost extends Error {}

const STANDBY_MS = 500;
const RETRY_MS = 500;
const LOST_MS = 20;

/**
 * Works through the log in order, as long as the process runs. One process is the leader and holds a session lock.
 * Other processes are standbys, and take over if that session ends. After any error, the follower tries again.
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

  /** Whether this process is the leader. */
  get active(): boolean {
    return this.leading;
  }

  /** The error that stops the follower; undefined if none. */
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

  /** To be called after every successful step. */
  progressed(): void {
    if (this.lastError !== undefined) this.logger.log('working again');
    this.lastError = undefined;
  }

  /** Logs an error once, not at every attempt. */
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
    // A lost connection must end the wait for events, because the lock is lost too.
    const lost = new AbortController();
    client.once('end', () => lost.abort());
    this.leading = true;
    await this.work.lead(client, AbortSignal.any([this.stop.signal, lost.signal]));
  }
}
