import { setTimeout } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { Client, Pool } from 'pg';
import type { EventStore, Position } from '../src/event-store/event-store.js';
import { connect, isUnavailable } from '../src/postgres/database.js';
import {
  CheckpointMoved,
  readCheckpoint,
  TablesOfAnotherLog,
  type Checkpoint,
  type Target,
} from './checkpoint.js';
import { readParkedStreams, takeBatch } from './parking.js';
import type { Projection } from './projection.js';
import { newRebuildId } from './rebuild-record.js';
import { rebuild, RebuildRunning } from './rebuild.js';
import { declareReferences, ensureTables } from './tables.js';

export interface ProjectorOptions {
  readonly connectionString: string;
  /** The schema of the tables; the projection's name by default. */
  readonly schema?: string;
  /** For tests: what stands between the projector and its connection. */
  readonly connect?: (connectionString: string) => Promise<Client>;
}

const STANDBY_MS = 500;
const RETRY_MS = 500;
const MOVED_MS = 20;
const WATCH_MS = 20;
/** After a rebuild that failed, such as by an event that can't be applied. */
const REBUILD_AGAIN_MS = 30_000;

/**
 * Keeps a projection's tables up with the log. Batches are applied in order, each in one transaction with the
 * checkpoint, which is compared and set: an event takes effect exactly once, whatever is killed. One process projects,
 * under an advisory lock; others stand by and take over when its connection ends.
 *
 * Tables of an older version are rebuilt, in the background; whoever runs that version keeps them up with the log
 * meanwhile. Tables of a newer version are left to those who run it.
 */
export class Projector {
  private readonly logger: Logger;
  private readonly stop = new AbortController();
  private readonly schema: string;
  private target!: Target;
  private running: Promise<void> | undefined;
  private checkpoint: Checkpoint | undefined;
  private active = false;
  private lastError: string | undefined;
  private readonly waiting = new Set<{ position: Position; resolve: () => void }>();
  private watch: NodeJS.Timeout | undefined;
  private rebuildAgainAt = 0;

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
    this.target = { projection: this.projection, schema: this.schema, log: await this.store.logId() };
    await ensureTables(this.pool, this.target);
    this.checkpoint = await readCheckpoint(this.pool, this.schema, this.projection);
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
    const { position, parked = 0, version: tables = version } = this.checkpoint ?? {};
    return { name, version, tables, position, parked, active: this.active, error: this.lastError };
  }

  /** Whether this version's queries can read the tables as they are. */
  get readable(): boolean {
    return (this.checkpoint?.version ?? 0) >= this.projection.readable;
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
    const { log, position: reached } = this.checkpoint ?? {};
    return log === this.target.log && reached !== undefined && reached >= position;
  }

  private moved(checkpoint: Checkpoint | undefined): void {
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
        const found = await readCheckpoint(client, this.schema, this.projection);
        this.moved(found);
        if (found && found.log !== this.target.log) {
          this.report(new TablesOfAnotherLog(this.schema));
          await this.pause(STANDBY_MS);
        } else if (found?.version !== this.projection.version) await this.succeed(found);
        else if (await this.tryLock(client)) await this.follow(client);
        else await this.pause(STANDBY_MS);
      } catch (error) {
        this.active = false;
        this.report(error);
        await this.pause(error instanceof CheckpointMoved ? MOVED_MS : RETRY_MS);
      } finally {
        this.active = false;
        await client?.end().catch(() => undefined);
      }
    }
  }

  /** The tables are another version's. */
  private async succeed(current: Checkpoint | undefined): Promise<void> {
    const { version } = this.projection;
    const { version: found = 0, parked = 0 } = current ?? {};
    if (found > version) {
      this.report(
        new Error(`the tables are of version ${found}, made by a newer Colophon than this of ${version}`),
      );
      return this.pause(STANDBY_MS);
    }
    if (Date.now() < this.rebuildAgainAt) return this.pause(STANDBY_MS);
    this.logger.log(`rebuilding the tables: they are of version ${found}, not ${version}`);
    const { target, store, pool, options } = this;
    const context = { target, store, pool, connectionString: options.connectionString };
    try {
      // What is parked already is no news.
      await rebuild(context, newRebuildId(), { allowParked: parked > 0, signal: this.stop.signal });
    } catch (error) {
      if (error instanceof RebuildRunning) return this.pause(STANDBY_MS);
      if (!isUnavailable(error)) this.rebuildAgainAt = Date.now() + REBUILD_AGAIN_MS;
      throw error;
    }
  }

  /** Each version's own: the old one's projector may hold on to its lock after the tables are no longer its. */
  private async tryLock(client: Client): Promise<boolean> {
    const { rows } = await client.query<{ locked: boolean }>(
      `select pg_try_advisory_lock(hashtextextended('colophon projector ' || $1, $2)) as locked`,
      [this.schema, this.projection.version],
    );
    return rows[0]?.locked === true;
  }

  private async follow(client: Client): Promise<void> {
    // Only where the exchange of a rebuild left them out.
    await declareReferences(this.pool, this.target);
    let checkpoint = await readCheckpoint(client, this.schema, this.projection);
    if (!checkpoint) throw new CheckpointMoved();
    const parkedStreams = await readParkedStreams(client, this.schema);
    this.moved(checkpoint);
    this.active = true;
    // A lost connection must end the wait for events: the lock went with it.
    const ended = new AbortController();
    client.on('end', () => ended.abort());
    const stop = () => ended.abort();
    this.stop.signal.addEventListener('abort', stop);
    if (this.stop.signal.aborted) stop();
    try {
      for await (const { events } of this.store.subscribe(checkpoint.position, ended.signal)) {
        const { parked } = checkpoint;
        checkpoint = await takeBatch(client, this.target, checkpoint, parkedStreams, events);
        this.moved(checkpoint);
        if (checkpoint.parked > parked)
          this.logger.error(`${checkpoint.parked - parked} events parked: see \`colophon parked list\``);
        if (this.lastError !== undefined) this.logger.log('projecting again');
        this.lastError = undefined;
      }
    } finally {
      this.stop.signal.removeEventListener('abort', stop);
    }
  }

  /** Says what went wrong once, not at every attempt. */
  private report(error: unknown): void {
    if (this.stop.signal.aborted || error instanceof CheckpointMoved) return;
    const message = error instanceof Error ? error.message : String(error);
    if (message === this.lastError) return;
    this.lastError = message;
    if (isUnavailable(error)) this.logger.warn(`waiting for the database: ${message}`);
    else this.logger.error(`stuck after position ${this.checkpoint?.position}: ${message}`);
  }

  private async pause(ms: number): Promise<void> {
    await setTimeout(ms, undefined, { signal: this.stop.signal }).catch(() => undefined);
  }
}
