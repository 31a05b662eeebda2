import { Logger } from '@nestjs/common';
import type { Client, Pool } from 'pg';
import type { EventStore, Position } from '../src/event-store/event-store.js';
import { Follower, type FollowerOptions, type FollowerWork } from '../src/followers/follower.js';
import type { LeaderLock } from '../src/followers/leader-lock.js';
import { isUnavailable } from '../src/postgres/database.js';
import {
  CheckpointMoved,
  readCheckpoint,
  TablesOfAnotherLog,
  type Checkpoint,
  type Target,
} from './checkpoint.js';
import { readParkedStreams } from './parking.js';
import { takeBatch } from './take-batch.js';
import { KnownCheckpoint } from './known-checkpoint.js';
import type { Projection } from './projection.js';
import { newRebuildId } from './build/rebuild-record.js';
import { RebuildRunning } from './build/build.js';
import { rebuild } from './build/rebuild.js';
import { declareReferences } from './build/references.js';
import { ensureTables } from './build/tables.js';

export interface ProjectorOptions extends FollowerOptions {
  /** The schema of the tables; the projection's name by default. */
  readonly schema?: string;
}

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
  private readonly schema: string;
  private readonly follower: Follower;
  private target!: Target;
  private known: KnownCheckpoint | undefined;
  private rebuildAgainAt = 0;

  constructor(
    readonly projection: Projection,
    private readonly store: EventStore,
    private readonly pool: Pool,
    private readonly options: ProjectorOptions,
  ) {
    this.schema = options.schema ?? projection.name;
    const work: FollowerWork = {
      name: `projector ${this.schema}`,
      prepare: (client, signal) => this.prepare(client, signal),
      lead: (client, signal) => this.lead(client, signal),
      place: () => `after position ${this.known?.current?.position ?? 'none'}`,
    };
    this.logger = new Logger(work.name);
    this.follower = new Follower(work, options);
  }

  /**
   * Creates the tables if they are missing, and starts.
   * @throws TablesOfAnotherLog
   */
  async start(): Promise<void> {
    this.target = { projection: this.projection, schema: this.schema, log: await this.store.logId() };
    await ensureTables(this.pool, this.target);
    this.known = new KnownCheckpoint(
      this.target.log,
      () => readCheckpoint(this.pool, this.schema, this.projection),
      () => this.follower.active,
    );
    await this.known.refresh();
    this.follower.start();
  }

  async close(): Promise<void> {
    this.known?.close();
    await this.follower.close();
  }

  /** How far the tables are, by what they say themselves. */
  async status() {
    const checkpoint = await this.known?.refresh();
    const { name, version } = this.projection;
    const { position, parked = 0, version: tables = version } = checkpoint ?? {};
    const { active, error } = this.follower;
    return { name, version, tables, position, parked, active, error };
  }

  /** Whether this version's queries can read the tables as they are. */
  get readable(): boolean {
    return (this.known?.current?.version ?? 0) >= this.projection.readable;
  }

  /** @returns whether the tables reached the position within the time. */
  reached(position: Position, patienceMs: number): Promise<boolean> {
    return this.known?.reached(position, patienceMs) ?? Promise.resolve(false);
  }

  /** Sees whose tables these are. @returns the lock to project under, if they are this version's. */
  private async prepare(client: Client, signal: AbortSignal): Promise<LeaderLock | undefined> {
    await client.query(`select set_config('search_path', $1, false)`, [`${this.schema}, public`]);
    // The tables are disposable and carry their own checkpoint: a crash that takes the last batches with it takes
    // both, and they are applied again.
    await client.query('set synchronous_commit = off');
    const found = await readCheckpoint(client, this.schema, this.projection);
    this.known?.moved(found);
    if (found && found.log !== this.target.log) {
      this.follower.report(new TablesOfAnotherLog(this.schema));
      return undefined;
    }
    const { version } = this.projection;
    // Each version's own: the old one's projector may hold on to its lock after the tables are no longer its.
    const lock: LeaderLock = { name: `colophon projector ${this.schema}`, version };
    if (found?.version === version) return lock;
    return (await this.succeed(found, signal)) ? lock : undefined;
  }

  /** The tables are another version's: newer ones are left alone, older ones rebuilt. @returns whether they were. */
  private async succeed(current: Checkpoint | undefined, signal: AbortSignal): Promise<boolean> {
    const { version } = this.projection;
    const { version: found = 0, parked = 0 } = current ?? {};
    if (found > version) {
      this.follower.report(
        new Error(`the tables are of version ${found}, made by a newer Colophon than this of ${version}`),
      );
      return false;
    }
    if (Date.now() < this.rebuildAgainAt) return false;
    this.logger.log(`rebuilding the tables: they are of version ${found}, not ${version}`);
    const { target, store, pool, options } = this;
    const context = { target, store, pool, connectionString: options.connectionString };
    try {
      // What is parked already is no news.
      await rebuild(context, newRebuildId(), { allowParked: parked > 0, signal });
      return true;
    } catch (error) {
      if (error instanceof RebuildRunning) return false;
      if (!isUnavailable(error)) this.rebuildAgainAt = Date.now() + REBUILD_AGAIN_MS;
      throw error;
    }
  }

  private async lead(client: Client, signal: AbortSignal): Promise<void> {
    // Only if the swap of a rebuild left them out.
    await declareReferences(this.pool, this.target);
    let checkpoint = await readCheckpoint(client, this.schema, this.projection);
    if (!checkpoint) throw new CheckpointMoved();
    const parkedStreams = await readParkedStreams(client, this.schema);
    this.known?.moved(checkpoint);
    for await (const { events } of this.store.subscribe(checkpoint.position, signal)) {
      const { parked } = checkpoint;
      checkpoint = await takeBatch(client, this.target, checkpoint, parkedStreams, events);
      this.known?.moved(checkpoint);
      if (checkpoint.parked > parked)
        this.logger.error(`${checkpoint.parked - parked} events parked: see \`colophon parked list\``);
      this.follower.progressed();
    }
  }
}
