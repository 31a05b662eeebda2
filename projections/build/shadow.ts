import type { Client } from 'pg';
import { byStream } from '../../src/event-store/by-stream.js';
import { categoryOf, idOf, type Position } from '../../src/event-store/event-store.js';
import { beginCheckpoint, readCheckpoint, type Checkpoint, type Target } from '../checkpoint.js';
import { park } from '../parking.js';
import { concerns } from '../projection.js';
import { readSkips, skipOf, skippedEvent } from '../skips.js';
import { takeBatch } from '../take-batch.js';
import type { RebuildContext, RebuildOptions } from './build.js';
import { bulkLoad, VerificationFailed, type LeftOut } from './bulk-load.js';
import { finishTables } from './finish-tables.js';
import type { RebuildRecord } from './rebuild-record.js';
import { createAside } from './tables.js';

const BATCH = 5_000;

/** A second set of tables, in a schema of its own: what the log says at a position. */
export class Shadow {
  private constructor(
    private readonly context: RebuildContext,
    readonly target: Target,
    private readonly worker: Client,
    private readonly options: RebuildOptions,
    /** The events that were left out, as an operator skipped them, by id. */
    private readonly skipped: Map<string, LeftOut>,
    private reached: Checkpoint,
    private counted: number,
  ) {}

  /**
   * Creates the tables, and fills the tables from the log up to a position.
   * @param forReaders ordinary tables with all indexes. Otherwise unlogged tables, with primary keys only.
   * @throws VerificationFailed if events are parked without `allowParked`.
   */
  static async build(
    context: RebuildContext,
    schema: string,
    to: Position | undefined,
    open: () => Promise<Client>,
    progress: RebuildRecord,
    options: RebuildOptions,
    forReaders = false,
  ): Promise<Shadow> {
    const { store, connectionString } = context;
    const target = { ...context.target, schema };
    await progress.enter('loading', schema);
    const worker = await open();
    await createAside(worker, target, !forReaders);
    const head = Number(to ?? 0n);
    let total = store.readByStream ? head : 0;
    const source =
      to === undefined
        ? nothing()
        : byStream(store, to, {
            connectionString,
            schema,
            connect: open,
            told: (events, position) => {
              options.signal?.throwIfAborted();
              total = events;
              // The number of events is unknown, so estimate the total from the position reached.
              progress.report('reading', events, Math.round((events * head) / Math.max(1, Number(position))));
            },
          });
    const skips = await readSkips(store, target.projection, to);
    const { events, parked, skipped, last } = await bulkLoad(target, source, skips, open, (done) => {
      options.signal?.throwIfAborted();
      progress.report('loading', done, Math.max(total, done));
    });
    await beginCheckpoint(worker, target, to, last?.position === to ? last?.id : undefined);
    await progress.enter('indexing', schema);
    await finishTables(target, open, forReaders, (done, of) => progress.report('indexing', done, of));
    await worker.query(`set search_path to ${schema}, public`);
    await park(worker, target, parked);
    const reached = await readCheckpoint(worker, schema, target.projection);
    if (!reached) throw new VerificationFailed(`${schema} has no checkpoint`);
    const leftOut = new Map(skipped.map((event) => [event.id, event]));
    const shadow = new Shadow(context, target, worker, options, leftOut, reached, events);
    await shadow.refuseParked();
    return shadow;
  }

  get checkpoint(): Checkpoint {
    return this.reached;
  }

  /** Number of events that the tables were made from. */
  get events(): number {
    return this.counted;
  }

  /**
   * Applies the events up to a position. Does nothing if the tables are as far already.
   * @param limit stops after so many events.
   * @returns the number of events that were read.
   */
  async follow(to: Position | undefined, limit = Infinity): Promise<number> {
    const from = this.reached.position;
    if (to === undefined || (from !== undefined && to <= from)) return 0;
    let taken = 0;
    for await (const batch of this.context.store.readAll({ from, to, batchSize: BATCH })) {
      this.options.signal?.throwIfAborted();
      this.reached = await takeBatch(this.worker, this.target, this.context.store, this.reached, batch);
      for (const event of batch) {
        const skip = skipOf(this.target.projection, event);
        // Another program can write a skip of what is not there, or of what these tables don't have.
        if (!skip || !concerns(this.target.projection, skip)) continue;
        const skipped = await skippedEvent(this.context.store, skip);
        if (skipped) this.skipped.set(skipped.id, skipped);
      }
      this.counted += batch.filter((event) => concerns(this.target.projection, event)).length;
      await this.refuseParked();
      taken += batch.length;
      if (taken >= limit) break;
    }
    return taken;
  }

  /**
   * Checks that the revisions in the tables, the parked events, and the skipped events that no later event of the stream
   * covers, account for every event of the log.
   * @throws VerificationFailed
   */
  async checkAccount(): Promise<void> {
    const { rows } = await this.worker.query<{ accounted: string }>(
      `select (${this.target.projection.accounted})::bigint as accounted`,
    );
    let accounted = Number(rows[0]?.accounted) + this.reached.parked;
    for (const { stream, revision } of this.skipped.values()) {
      const { rows: found } = await this.worker.query<{ revision: string }>(this.target.projection.reached, [
        categoryOf(stream),
        idOf(stream),
      ]);
      if (BigInt(found[0]?.revision ?? -1) < revision) accounted += 1;
    }
    if (accounted !== this.counted)
      throw new VerificationFailed(`the new tables account for ${accounted} events of ${this.counted}`);
  }

  /** @throws VerificationFailed if events are parked without `allowParked`. Names the first error. */
  private async refuseParked(): Promise<void> {
    if (this.options.allowParked || this.reached.parked === 0) return;
    const { schema } = this.target;
    const { rows } = await this.worker.query<{ error: string; count: number }>(
      `select error, (select count(*)::integer from ${schema}.parked) as count
       from ${schema}.parked where error is not null order by position limit 1`,
    );
    const { error, count = 0 } = rows[0] ?? {};
    throw new VerificationFailed(`${count} event${count === 1 ? '' : 's'} can't be applied: ${error}`);
  }
}

async function* nothing(): AsyncIterable<never> {}
