import { EventEmitter } from 'node:events';
import { Client, type Pool } from 'pg';
import { connectionOptions } from '../../postgres/connection-options.js';
import { APPLICATION_NAME } from '../../postgres/database.js';

const CHANNEL = 'colophon_events';
/** Shortest time between notifications. One in every commit cost 57 to 65 % of the appends at 16 to 64 callers. */
const NOTIFY_EVERY_MS = 20;
const RECONNECT_MS = 1_000;

/**
 * Tells followers that the log may have new events: directly within this process, by `LISTEN`/`NOTIFY` from others. A
 * wake-up is only a hint. Followers also read the log at intervals, so a lost notification costs only time.
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

  /** Changes with every wake-up. Take a ticket before a read, so `wait` knows about wake-ups during the read. */
  ticket = 0;

  /** To be called after this process appended events. */
  appended(): void {
    this.wake();
    this.announcement ??= setTimeout(() => {
      this.announcement = undefined;
      this.pool.query(`notify ${CHANNEL}`).catch(() => undefined);
    }, NOTIFY_EVERY_MS).unref();
  }

  /** Resolves after a wake-up newer than the ticket, after `patienceMs`, or if the signal aborts. */
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
    const client = new Client(
      connectionOptions(this.connectionString, {
        connectionTimeoutMillis: 2_000,
        keepAlive: true,
        application_name: APPLICATION_NAME,
      }),
    );
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
