import { setTimeout } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { Client, type Pool, type PoolClient } from 'pg';
import type { Batch, EventStore, Position, RecordedEvent } from '../src/event-store/event-store.js';
import { APPLICATION_NAME, isUnavailable } from '../src/postgres/database.js';
import { ensureTables, moveCheckpoint, readCheckpoint } from './checkpoint.js';

/** Relational tables as a function of the log. */
export interface Projection {
  readonly name: string;
  /** Raised with every change of the tables or of what is folded into them. */
  readonly version: number;
  /** The statements that create the tables, unqualified. */
  readonly tables: () => string;
  /** Takes the effect of events, in order, into the tables. The caller holds the transaction. */
  readonly apply: (client: PoolClient, events: readonly RecordedEvent[]) => Promise<void>;
}

export interface ProjectorOptions {
  readonly connectionString: string;
  /** The schema of the tables; the projection's name by default. */
  readonly schema?: string;
  /** Drops the tables and begins again. */
  readonly afresh?: boolean;
  /** For tests: what stands between the projector and its connection. */
  readonly connect?: (connectionString: string) => Promise<Client>;
}

/** Another process moved the checkpoint: what it says now is where to go on. */
class CheckpointMoved extends Error {}

const STANDBY_MS = 500;
const RETRY_MS = 500;
const WATCH_MS = 20;

/**
 * Keeps a projection's tables up with the log. Batches are applied in order, each in one transaction with the
 * checkpoint, which is compared and set: an event takes effect exactly once, whatever is killed. One process projects,
 * under an advisory lock; others stand by and take over when its connection ends.
 */
export class Projector {
  private readonly logger: Logger;
  private readonly stop = new AbortController();
  private readonly schema: string;
  private log = '';
  private running: Promise<void> | undefined;
  private checkpoint: Position | undefined;
  private active = false;
  private lastError: string | undefined;
  private readonly waiting = new Set<{ position: Position; resolve: () => void }>();
  private watch: NodeJS.Timeout | undefined;

  constructor(
    readonly projection: Projection,
    private readonly store: EventStore,
    private readonly pool: Pool,
    private readonly options: ProjectorOptions,
  ) {
    this.schema = options.schema ?? projection.name;
    this.logger = new Logger(`projector ${this.schema}`);
  }

  /**
   * Creates the tables where they are missing, and starts.
   * @throws TablesOfAnotherLog
   */
  async start(): Promise<void> {
    this.log = await this.store.logId();
    await ensureTables(this.pool, this.projection, this.schema, this.log, this.options.afresh);
    this.running = this.run();
  }

  async close(): Promise<void> {
    this.stop.abort();
    clearInterval(this.watch);
    await this.running;
  }

  /** How far the tables are, by what they say themselves. */
  async status() {
    this.checkpoint = await readCheckpoint(this.pool, this.schema, this.projection);
    const { name, version } = this.projection;
    return { name, version, position: this.checkpoint, active: this.active, error: this.lastError };
  }

  /** @returns whether the tables reached the position within the time. */
  async reached(position: Position, patienceMs: number): Promise<boolean> {
    if (this.has(position)) return true;
    this.watchCheckpoint();
    return new Promise((resolve) => {
      const waiter = { position, resolve: () => settle(true) };
      const timer = globalThis.setTimeout(() => settle(this.has(position)), patienceMs);
      const settle = (reached: boolean) => {
        clearTimeout(timer);
        this.waiting.delete(waiter);
        resolve(reached);
      };
      this.waiting.add(waiter);
    });
  }

  private has(position: Position): boolean {
    return this.checkpoint !== undefined && this.checkpoint >= position;
  }

  private moved(checkpoint: Position | undefined): void {
    this.checkpoint = checkpoint;
    for (const waiter of this.waiting) if (this.has(waiter.position)) waiter.resolve();
  }

  /** While another process projects, its progress is read from the tables for as long as somebody waits for it. */
  private watchCheckpoint(): void {
    this.watch ??= setInterval(() => {
      if (this.waiting.size === 0) {
        clearInterval(this.watch);
        this.watch = undefined;
      }
      // An active projector knows by itself, and may stop being the active one while somebody waits.
      if (this.active || this.waiting.size === 0) return;
      readCheckpoint(this.pool, this.schema, this.projection)
        .then((found) => this.moved(found))
        .catch(() => undefined);
    }, WATCH_MS);
  }

  private async run(): Promise<void> {
    while (!this.stop.signal.aborted) {
      let client: Client | undefined;
      try {
        client = await (this.options.connect ?? connect)(this.options.connectionString);
        await client.query(`select set_config('search_path', $1, false)`, [`${this.schema}, public`]);
        // The tables are disposable and carry their own checkpoint: a crash that takes the last batches with it takes
        // both, and they are applied again.
        await client.query('set synchronous_commit = off');
        if (await this.tryLock(client)) await this.follow(client);
        else await this.pause(STANDBY_MS);
      } catch (error) {
        this.active = false;
        this.report(error);
        await this.pause(RETRY_MS);
      } finally {
        this.active = false;
        await client?.end().catch(() => undefined);
      }
    }
  }

  private async tryLock(client: Client): Promise<boolean> {
    const { rows } = await client.query<{ locked: boolean }>(
      `select pg_try_advisory_lock(hashtextextended('colophon projector ' || $1, 0)) as locked`,
      [this.schema],
    );
    return rows[0]?.locked === true;
  }

  private async follow(client: Client): Promise<void> {
    this.moved(await readCheckpoint(client, this.schema, this.projection));
    this.active = true;
    // A lost connection must end the wait for events: the lock went with it.
    const ended = new AbortController();
    client.on('end', () => ended.abort());
    const stop = () => ended.abort();
    this.stop.signal.addEventListener('abort', stop);
    if (this.stop.signal.aborted) stop();
    try {
      for await (const batch of this.store.subscribe(this.checkpoint, ended.signal)) {
        if (batch.events.length > 0) await this.take(client, batch);
        if (this.lastError !== undefined) this.logger.log('projecting again');
        this.lastError = undefined;
      }
    } finally {
      this.stop.signal.removeEventListener('abort', stop);
    }
  }

  private async take(client: Client, { events }: Batch): Promise<void> {
    const last = events.at(-1)?.position;
    if (last === undefined) return;
    await client.query('begin isolation level read committed');
    try {
      const current = await moveCheckpoint(
        client,
        this.schema,
        this.projection,
        this.log,
        this.checkpoint,
        last,
      );
      if (!current) throw new CheckpointMoved();
      await this.projection.apply(client as unknown as PoolClient, events);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
    this.moved(last);
  }

  /** Says what went wrong once, not at every attempt. */
  private report(error: unknown): void {
    if (this.stop.signal.aborted || error instanceof CheckpointMoved) return;
    const message = error instanceof Error ? error.message : String(error);
    if (message === this.lastError) return;
    this.lastError = message;
    if (isUnavailable(error)) this.logger.warn(`waiting for the database: ${message}`);
    else this.logger.error(`stuck after position ${this.checkpoint}: ${message}`);
  }

  private async pause(ms: number): Promise<void> {
    await setTimeout(ms, undefined, { signal: this.stop.signal }).catch(() => undefined);
  }
}

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({
    connectionString,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    application_name: APPLICATION_NAME,
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
