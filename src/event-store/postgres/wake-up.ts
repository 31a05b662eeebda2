import { EventEmitter } from 'node:events';
import { Client, type Pool } from 'pg';
import { APPLICATION_NAME } from '../../postgres/database.js';

const CHANNEL = 'colophon_events';
/** A notification in every commit cost 57 to 65 % of the appends at 16 to 64 callers; so at most one in this time. */
const NOTIFY_EVERY_MS = 20;
const RECONNECT_MS = 1_000;

/**
 * Tells followers of the log that there may be more: at once within this process, by `LISTEN`/`NOTIFY` from others.
 * A hint only: a follower also looks by itself now and then, so a lost notification costs time and nothing else.
 */
export class WakeUp {
  private readonly local = new EventEmitter().setMaxListeners(0);
  private listener: Client | undefined;
  private reconnect: NodeJS.Timeout | undefined;
  private announcement: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(
    private readonly connectionString: string,
    private readonly pool: Pool,
  ) {}

  /** Changes with every wake-up: taken before a look at the log, it tells `wait` of one that came meanwhile. */
  ticket = 0;

  /** This process appended. */
  appended(): void {
    this.wake();
    this.announcement ??= setTimeout(() => {
      this.announcement = undefined;
      this.pool.query(`notify ${CHANNEL}`).catch(() => undefined);
    }, NOTIFY_EVERY_MS).unref();
  }

  /** Resolves when somebody appended since the ticket was taken, after `patienceMs`, or when the signal aborts. */
  async wait(ticket: number, patienceMs: number, signal: AbortSignal): Promise<void> {
    void this.listen();
    if (ticket !== this.ticket || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.local.off('wake', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, patienceMs);
      this.local.on('wake', done);
      signal.addEventListener('abort', done);
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.reconnect);
    if (this.announcement) {
      clearTimeout(this.announcement);
      await this.pool.query(`notify ${CHANNEL}`).catch(() => undefined);
    }
    await this.listener?.end().catch(() => undefined);
  }

  private wake(): void {
    this.ticket += 1;
    this.local.emit('wake');
  }

  private async listen(): Promise<void> {
    if (this.listener || this.reconnect || this.closed) return;
    const client = new Client({
      connectionString: this.connectionString,
      connectionTimeoutMillis: 2_000,
      keepAlive: true,
      application_name: APPLICATION_NAME,
    });
    this.listener = client;
    const lost = () => {
      if (this.listener !== client) return;
      this.listener = undefined;
      void client.end().catch(() => undefined);
      if (!this.closed) this.reconnect = setTimeout(() => (this.reconnect = undefined), RECONNECT_MS).unref();
    };
    client.on('error', lost).on('end', lost);
    client.on('notification', () => this.wake());
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
    } catch {
      lost();
    }
    this.wake();
  }
}
