import { Logger } from '@nestjs/common';
import type { Client } from 'pg';
import { pause } from '../event-store/pause.js';
import { APPLICATION_NAME, connect, endOf } from '../postgres/database.js';
import { isLockTimeout, isUnavailable, reasonOf } from '../postgres/errors.js';
import { LeaderSession, type LeaderLock } from './leader-lock.js';

/** What a follower does with the log. */
export interface FollowerWork {
  /** Name in log lines, such as `projector catalogue`. */
  readonly name: string;
  /**
   * Called before each try to become the leader.
   * @param client for reading; the leader's work gets a connection of its own.
   * @returns the lock to lead under; why this process can't lead; or undefined to stand by without complaint.
   */
  readonly prepare: (client: Client, signal: AbortSignal) => Promise<LeaderLock | Error | undefined>;
  /** Called as the leader: works through the log, a {@link Follower.step} at a time, until the signal aborts. */
  readonly lead: (client: Client, signal: AbortSignal) => Promise<void>;
  /** Whether to wait for these sessions without an error: for work of our own, which tells of itself. */
  readonly expects?: (sessions: string) => boolean;
  /** The follower's place in the log, for error lines. */
  readonly place: () => string;
}

export interface FollowerOptions {
  readonly connectionString: string;
  /** For tests: opens the connection of the leader's work. */
  readonly connect?: typeof connect;
  /** For tests: how long a silence must be to be reported, in milliseconds. */
  readonly silenceMs?: number;
}

/** An error that keeps a follower from going on. */
export interface Standstill {
  readonly message: string;
  readonly since: Date;
  readonly error: unknown;
}

/** Another process changed the follower's state. The follower starts over from the current state. Not reported. */
export class LeadLost extends Error {}

const STANDBY_MS = 500;
const RETRY_MS = 500;
const LOST_MS = 20;
/** Longest wait for a lock. Then the step is undone, so that others get the locks that the step has, and tried again. */
const LOCK_MS = 2_000;
const LOCK_AGAIN_MS = 100;
/** A step that takes longer is reported, with the sessions that hold it up. */
const LONG_STEP_MS = 10_000;
const WATCH_MS = 2_500;
/** Longest silence of the connection of the leader's work. */
const SILENCE_MS = 10_000;

/**
 * Works through the log in order, as long as the process runs. One process is the leader and holds a session lock.
 * Other processes are standbys, and take over if that session ends or is silent. After any error, the follower tries
 * again. A process that only believes to lead does no harm: its work must be fenced, as a projection's checkpoint is.
 */
export class Follower {
  private readonly logger: Logger;
  private readonly stop = new AbortController();
  private running: Promise<void> | undefined;
  private leading = false;
  private standstill: Standstill | undefined;
  private stepSince: number | undefined;
  private anew = new AbortController();
  /** Ends when the connection of the leader's work has nothing else to do. */
  private listening: Promise<unknown> = Promise.resolve();

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
  get error(): Standstill | undefined {
    return this.standstill;
  }

  start(): void {
    this.running = this.run();
  }

  async close(): Promise<void> {
    this.stop.abort();
    await this.running;
  }

  /** Whether a part of the leader's work is under way. */
  get busy(): boolean {
    return this.stepSince !== undefined;
  }

  /**
   * One step of the leader's work. A step that takes long is reported. After a step, no error stops the follower.
   * @param work leaves nothing behind if it fails. Tried again if it could not get a lock in time.
   */
  async step<T>(work: () => Promise<T>): Promise<T> {
    const result = await this.prepared(work);
    this.recovered();
    return result;
  }

  /** What the leader does before its first step. Reported like a step if it takes long. */
  async prepared<T>(work: () => Promise<T>): Promise<T> {
    this.stepSince = performance.now();
    try {
      await this.listening;
      return await this.untilLocked(work);
    } finally {
      this.stepSince = undefined;
    }
  }

  /** Repeats work that could not get a lock in time. */
  private async untilLocked<T>(work: () => Promise<T>): Promise<T> {
    for (;;)
      try {
        return await work();
      } catch (error) {
        if (!isLockTimeout(error) || this.stop.signal.aborted) throw error;
        await pause(LOCK_AGAIN_MS, this.stop.signal);
      }
  }

  /** Reports an error, and begins the leader's work anew, even if the work heeds no signal. */
  beginAnew(error: Error): void {
    this.report(error);
    this.anew.abort(error);
  }

  /** Logs an error once, not at every attempt. */
  report(error: unknown): void {
    if (this.stop.signal.aborted || error instanceof LeadLost) return;
    const message = reasonOf(error);
    const before = this.standstill;
    if (message === before?.message) return;
    // One outage has several messages. Whatever else goes wrong before or after, it begins by itself.
    const goesOn = before !== undefined && isUnavailable(before.error) === isUnavailable(error);
    this.standstill = { message, since: goesOn ? before.since : new Date(), error };
    if (isUnavailable(error)) this.logger.warn(`waiting for the database: ${message}`);
    else this.logger.error(`stuck ${this.work.place()}: ${message}`);
  }

  private recovered(): void {
    if (this.standstill !== undefined) this.logger.log('working again');
    this.standstill = undefined;
  }

  private async run(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      let session: LeaderSession | undefined;
      try {
        session = await LeaderSession.open(this.options.connectionString);
        const lock = await this.work.prepare(session.client, signal);
        if (lock instanceof Error) this.report(lock);
        else if (lock && (await session.tryLead(lock))) {
          await this.lead(session);
          continue;
        } else this.recovered();
        await pause(STANDBY_MS, signal);
      } catch (error) {
        this.leading = false;
        this.report(error);
        await pause(error instanceof LeadLost ? LOST_MS : RETRY_MS, signal);
      } finally {
        this.leading = false;
        await session?.end();
      }
    }
  }

  private async lead(session: LeaderSession): Promise<void> {
    const { connectionString, connect: open = connect } = this.options;
    const client = await open(connectionString, APPLICATION_NAME, { pipeline: true });
    const watch = new AbortController();
    try {
      // A lost connection must end the wait for events.
      const lost = new AbortController();
      client.once('end', () => lost.abort());
      // A statement on a silent network would otherwise go on until the kernel gives up, after a quarter of an hour.
      const cut = () => client.connection.stream.destroy();
      session.lost.addEventListener('abort', cut, { once: true });
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
      // The transaction of a frozen leader ends, so that the next leader doesn't wait for its locks.
      await client.query(`set idle_in_transaction_session_timeout = '10s'; set lock_timeout = ${LOCK_MS}`);
      this.leading = true;
      this.listening = Promise.resolve();
      const anew = (this.anew = new AbortController()).signal;
      const given = new Promise<never>((_, up) =>
        anew.addEventListener('abort', () => up(anew.reason as Error), { once: true }),
      );
      const signal = AbortSignal.any([this.stop.signal, lost.signal, session.lost, anew]);
      void this.watch(session, client, rows[0]?.pid ?? 0, watch.signal);
      await Promise.race([this.work.lead(client, signal), given]);
    } catch (error) {
      // Whatever failed after the lead was lost is the new leader's to tell.
      throw session.lost.aborted ? new LeadLost('the lead was lost', { cause: error }) : error;
    } finally {
      this.leading = false;
      watch.abort();
      await endOf(client);
    }
  }

  /**
   * Reports a step that takes long, and the sessions that hold it up. Between steps, makes sure that the connection of
   * the work still answers: otherwise nobody would notice before the next event.
   */
  private async watch(
    session: LeaderSession,
    client: Client,
    pid: number,
    signal: AbortSignal,
  ): Promise<void> {
    let waitedAt = performance.now();
    for (; !signal.aborted; await pause(WATCH_MS, signal)) {
      const since = this.stepSince;
      if (since === undefined) {
        waitedAt = performance.now();
        await this.listen(client, signal);
      }
      if (since === undefined || performance.now() - since < LONG_STEP_MS) continue;
      const blockers = await session.blockersOf(pid).catch(() => undefined);
      if (this.stepSince !== since || signal.aborted) continue;
      if (blockers !== undefined) {
        waitedAt = performance.now();
        if (!this.work.expects?.(blockers)) this.report(new Error(`waiting for a lock held by ${blockers}`));
        // Between two waits for a lock, nobody blocks.
      } else if (!this.standstill && performance.now() - waitedAt > LONG_STEP_MS)
        this.report(new Error('a batch takes very long'));
    }
  }

  private async listen(client: Client, signal: AbortSignal): Promise<void> {
    const silent = () =>
      !signal.aborted && this.beginAnew(new Error('a connection to the database does not answer'));
    const late = setTimeout(() => setImmediate(silent), this.options.silenceMs ?? SILENCE_MS);
    // A lost connection ends the lead by itself.
    this.listening = client.query('select').catch(() => undefined);
    await this.listening;
    clearTimeout(late);
  }
}
