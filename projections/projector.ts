import { Logger } from '@nestjs/common';
import { SpanKind } from '@opentelemetry/api';
import type { Client, Pool } from 'pg';
import {
  AnotherLog,
  EventStoreUnavailable,
  UserRefused,
  type EventStore,
  type Position,
  type RecordedEvent,
} from '../src/event-store/event-store.js';
import { pause } from '../src/event-store/pause.js';
import { inSpan, linksTo } from '../src/event-store/spans.js';
import { Follower, type FollowerOptions, type FollowerWork } from '../src/followers/follower.js';
import type { LeaderLock } from '../src/followers/leader-lock.js';
import { connect } from '../src/postgres/database.js';
import { isUnavailable, reasonOf } from '../src/postgres/errors.js';
import { batchTaken } from '../src/signals.js';
import {
  CheckpointMoved,
  readCheckpoint,
  TablesOfAnotherLog,
  type Checkpoint,
  type Target,
} from './checkpoint.js';
import { takeBatch } from './take-batch.js';
import { KnownCheckpoint } from './known-checkpoint.js';
import type { Projection } from './projection.js';
import { newRebuildId } from './build/rebuild-record.js';
import { RebuildRunning, type RebuildContext } from './build/build.js';
import { rebuild } from './build/rebuild.js';
import { isBeingWritten, isOurWork, patiently } from './build/holders.js';
import { isUnfinished, trim } from './build/reshape.js';
import { ensureTables } from './build/tables.js';

export interface ProjectorOptions extends FollowerOptions {
  /** The schema of the tables. Default: the projection's name. */
  readonly schema?: string;
}

/** The first version of the catalogue's tables whose skipped events are in the log. */
const SKIPS_SINCE = 6;

/** Tables that are behind the log for so long, at the same position, stand still. */
const STILL_MS = 15_000;
/** A part of that time passes between two looks. */
const LOOKS = 6;
/** Wait after a failed rebuild, such as one with an event that can't be applied. */
const REBUILD_AGAIN_MS = 30_000;

/**
 * Keeps a projection's tables up with the log. Applies batches in order, each in one transaction with the checkpoint.
 * The checkpoint is compared and set, so each event takes effect exactly once, whichever process is killed. The leader
 * holds an advisory lock; standbys take over if the leader's connection ends.
 *
 * Tables of an older version are rebuilt in the background. Meanwhile, processes of the older version keep the old
 * tables up with the log. Tables of a newer version are left alone.
 */
export class Projector {
  private readonly logger: Logger;
  /** The schema of the tables. */
  readonly schema: string;
  private readonly follower: Follower;
  private target!: Target;
  private readonly known: KnownCheckpoint;
  private failed: { readonly error: Error; readonly at: number } | undefined;
  private looking: NodeJS.Timeout | undefined;
  /** The position at which the tables are behind the log, and since when. */
  private behind:
    { readonly at: Position | undefined; readonly since: Date; readonly began: number } | undefined;

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
      expects: (sessions) => isOurWork(sessions),
      place: () => `after position ${this.known.current?.position ?? 'none'}`,
    };
    this.logger = new Logger(work.name);
    this.follower = new Follower(work, options);
    this.known = new KnownCheckpoint(
      () => this.target?.log,
      () => readCheckpoint(this.pool, this.schema, this.projection),
      () => this.follower.active,
    );
  }

  /**
   * Creates the tables if they are missing, and starts.
   * @throws TablesOfAnotherLog
   */
  async start(): Promise<void> {
    this.target = { projection: this.projection, schema: this.schema, log: await this.store.logId() };
    await ensureTables(this.pool, this.target);
    await this.known.refresh();
    this.follower.start();
    const look = async () => {
      await this.look();
      this.looking?.refresh();
    };
    this.looking = setTimeout(() => void look(), this.stillMs / LOOKS).unref();
  }

  async close(): Promise<void> {
    clearTimeout(this.looking);
    this.looking = undefined;
    this.known.close();
    await this.follower.close();
  }

  /** How far the tables have followed the log, and this process's part. */
  async status() {
    const checkpoint = await this.known.refresh();
    const { name, version } = this.projection;
    const { position, parked = 0, version: tables = version } = checkpoint ?? {};
    const { active, error = this.still } = this.follower;
    return {
      name,
      version,
      tables,
      position,
      parked,
      active,
      error: error?.message,
      errorSince: error?.since,
    };
  }

  /** Position of the last event that the tables are known to have; undefined if unknown, or if there is none. */
  get position(): Position | undefined {
    return this.known.current?.position;
  }

  /** Whether this version's queries can read the current tables. */
  get readable(): boolean {
    return (this.known.current?.version ?? 0) >= this.projection.readable;
  }

  /** Whether the current tables have all that tables of this version have. */
  get current(): boolean {
    return (this.known.current?.version ?? 0) >= this.projection.version;
  }

  /** Whether an error stops the tables. Tables of a newer version are left to newer processes, and don't stand still. */
  get standsStill(): boolean {
    const error = this.follower.error ?? this.still;
    return error !== undefined && (this.known.current?.version ?? 0) <= this.projection.version;
  }

  /** Since when an error stops the tables; undefined if none does. */
  get standsStillSince(): Date | undefined {
    return this.standsStill ? (this.follower.error ?? this.still)?.since : undefined;
  }

  /** Whether this process is the leader. */
  get active(): boolean {
    return this.follower.active;
  }

  /** Whether the log went back, or was replaced. Then the tables show events that the log doesn't have. */
  get onAnotherLog(): boolean {
    return this.follower.error?.error instanceof AnotherLog;
  }

  /** The error that stops the tables, if the event store refuses Colophon's user. */
  get refusal(): UserRefused | undefined {
    const error = this.follower.error?.error;
    return error instanceof UserRefused ? error : undefined;
  }

  /** @returns whether the tables reached the position within `patienceMs`. */
  async reached(position: Position, patienceMs: number): Promise<boolean> {
    return !this.onAnotherLog && this.known.reached(position, patienceMs);
  }

  private get context(): RebuildContext {
    const { target, store, pool, options } = this;
    return { target, store, pool, connectionString: options.connectionString };
  }

  private get stillMs(): number {
    return this.options.silenceMs ?? STILL_MS;
  }

  /** Whether no event reaches the tables, although the log has more events. */
  private get still(): { readonly message: string; readonly since: Date } | undefined {
    if (!this.behind || performance.now() - this.behind.began < this.stillMs) return undefined;
    const { at = 'none', since } = this.behind;
    return { message: `no event after position ${at} reaches the tables`, since };
  }

  /**
   * Compares the tables with the head of the log, whoever is the leader. An error of a follower tells of itself. This
   * look finds a subscription that is silent, and a leader in another process that does nothing.
   */
  private async look(): Promise<void> {
    try {
      const { position, version } = (await this.known.refresh()) ?? {};
      const head = await this.store.head();
      const follows = version === this.projection.version && head !== undefined;
      if (!follows || (position !== undefined && position >= head)) this.behind = undefined;
      else if (this.behind?.at !== position || !this.behind || (await isBeingWritten(this.pool, this.schema)))
        this.behind = { at: position, since: new Date(), began: performance.now() };
    } catch {
      // Whoever needs a database that is away tells of it.
      this.behind = undefined;
    }
    const { still } = this;
    if (!still || !this.follower.active || this.follower.error || this.follower.busy) return;
    this.follower.beginAnew(new Error(still.message));
    this.behind = undefined;
  }

  /**
   * Checks log and version of the tables. Rebuilds tables of an older version.
   * @returns the leader's lock if the tables are of this version; otherwise why this process can't lead, if it can't.
   * @throws AnotherLog
   */
  private async prepare(client: Client, signal: AbortSignal): Promise<LeaderLock | Error | undefined> {
    const found = await readCheckpoint(client, this.schema, this.projection);
    this.known.moved(found);
    if (found && found.log !== this.target.log) return new TablesOfAnotherLog(this.schema);
    await this.checkLog(found).catch((error: unknown) => {
      // A leader waits for a store that is away, and checks then.
      if (!(error instanceof EventStoreUnavailable)) throw error;
    });
    const { version } = this.projection;
    // One lock per version: the old version's projector may keep its lock after the tables have a new version.
    const lock: LeaderLock = { name: `colophon projector ${this.schema}`, version };
    if (found?.version === version) return lock;
    const outcome = await this.succeed(found, signal);
    return outcome === 'rebuilt' ? lock : outcome;
  }

  /** @throws AnotherLog unless the log is the one that the tables were built from, and is at least as far. */
  private async checkLog({ position, eventId }: Partial<Checkpoint> = {}): Promise<void> {
    const log = await this.store.logId();
    if (log !== this.target.log) throw AnotherLog.named(log, this.target.log);
    if (position === undefined || eventId === undefined) return;
    if (!(await this.store.holds(position, eventId))) throw AnotherLog.withoutEvent(position, eventId);
  }

  /**
   * Handles tables of another version: leaves newer tables alone, rebuilds older tables.
   * @returns why this process can't lead yet; undefined if another process is rebuilding the tables.
   */
  private async succeed(
    current: Checkpoint | undefined,
    signal: AbortSignal,
  ): Promise<'rebuilt' | Error | undefined> {
    const { version } = this.projection;
    const { version: found = 0, parked = 0 } = current ?? {};
    if (found > version)
      return new Error(
        `the tables are of version ${found}, made by a newer Colophon; this Colophon has version ${version}`,
      );
    if (this.failed && performance.now() < this.failed.at + REBUILD_AGAIN_MS) return this.failed.error;
    this.logger.log(`rebuilding the tables from version ${found} to version ${version}`);
    const { context } = this;
    try {
      // Allow parked events if the old tables have parked events already. The log does not tell which events were skipped
      // in tables of an early version.
      const allowParked = parked > 0 || found < SKIPS_SINCE;
      const onHeldUp = (holders: string) => this.logger.warn(`the rebuild waits for ${holders}`);
      // A process of version 0.1 turns plain tables into partitions.
      await ensureTables(this.pool, this.target, true);
      await rebuild(context, newRebuildId(), { allowParked, signal, onHeldUp, finish: false });
      this.failed = undefined;
      return 'rebuilt';
    } catch (error) {
      if (error instanceof RebuildRunning) return undefined;
      if (!isUnavailable(error)) this.failed = { error: error as Error, at: performance.now() };
      throw error;
    }
  }

  private async lead(client: Client, signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const unfinished = await this.follower.prepared(async () => {
      await client.query(`select set_config('search_path', $1, false)`, [`${this.schema}, public`]);
      // The tables can be rebuilt and contain their own checkpoint. A crash may lose the last batches, but rows and
      // checkpoint together, so the batches are applied again.
      await client.query('set synchronous_commit = off');
      return isUnfinished(client, this.target);
    });
    const finishing = unfinished ? this.finishUpgrade(AbortSignal.any([signal, ended.signal])) : undefined;
    try {
      await this.follow(client, signal);
    } finally {
      ended.abort();
      await finishing;
    }
  }

  /** Finishes an upgrade of the tables that was interrupted after its rows were filled. Projecting goes on meanwhile. */
  private async finishUpgrade(signal: AbortSignal): Promise<void> {
    const { context, pool, schema } = this;
    let told: string | undefined;
    const heldUp = (holders: string) => {
      if (holders !== told) this.logger.warn(`the upgrade of the tables waits for ${holders}`);
      told = holders;
    };
    let client: Client | undefined;
    const stop = () => client?.connection.stream.destroy();
    signal.addEventListener('abort', stop, { once: true });
    try {
      const holder = (client = await connect(context.connectionString, `colophon upgrade of ${schema}`));
      await patiently(pool, schema, signal, heldUp, (lockMs) => trim(holder, context, lockMs));
    } catch (error) {
      if (!signal.aborted)
        this.logger.error(`the upgrade of the tables can't be finished: ${reasonOf(error)}`);
    } finally {
      signal.removeEventListener('abort', stop);
      await client?.end().catch(() => undefined);
    }
  }

  /** A batch belongs to many traces, so its span is in none of them, and links to them. */
  private inSpan<T>(events: readonly RecordedEvent[], take: () => Promise<T>): Promise<T> {
    const { name } = this.projection;
    const attributes = { 'colophon.projection': name, 'colophon.events': events.length };
    const options = () => ({ root: true, kind: SpanKind.CONSUMER, links: linksTo(events), attributes });
    return inSpan(`project ${name}`, options, take);
  }

  private async follow(client: Client, signal: AbortSignal): Promise<void> {
    const read = () => readCheckpoint(client, this.schema, this.projection);
    const { gatherMs = 0 } = this.projection;
    const first = await this.follower.prepared(read);
    if (!first) throw new CheckpointMoved();
    let checkpoint: Checkpoint = first;
    while (!signal.aborted) {
      this.known.moved(checkpoint);
      try {
        const { position, eventId } = checkpoint;
        for await (const { events, caughtUp } of this.store.subscribe(position, signal, eventId)) {
          const began = performance.now();
          const from: Checkpoint = checkpoint;
          const take = () =>
            takeBatch(client, this.target, this.store, from, events, (transaction) =>
              this.follower.step(transaction),
            );
          checkpoint = events.length === 0 ? await take() : await this.inSpan(events, take);
          this.known.moved(checkpoint);
          const seconds = (performance.now() - began) / 1_000;
          batchTaken.tell({ follower: this.projection.name, events: events.length, seconds });
          if (checkpoint.parked > from.parked)
            this.logger.error(
              `${checkpoint.parked - from.parked} events parked: see \`colophon parked list\``,
            );
          if (caughtUp) await pause(began + gatherMs - performance.now(), signal);
        }
      } catch (error) {
        if (!(error instanceof CheckpointMoved)) throw error;
        const found = await this.follower.prepared(read);
        // Go on at once with tables that were built anew. Otherwise another process leads, or should.
        if (!found || found.build === checkpoint.build || found.version !== checkpoint.version) throw error;
        checkpoint = found;
      }
    }
  }
}
