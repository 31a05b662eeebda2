import type { Position } from '../src/event-store/event-store.js';
import { connect } from '../src/postgres/database.js';
import type { Moment } from '../src/event-store/moment.js';
import type { Difference } from './build/differences.js';
import { AS_OF, buildAsOf } from './build/as-of.js';
import type { RebuildContext, RebuildOptions, RebuildReport } from './build/build.js';
import { newRebuildId, readRebuild, type RebuildRow } from './build/rebuild-record.js';
import { rebuild } from './build/rebuild.js';
import { markOf, SchemaTaken } from './build/schemas.js';
import { ensureTables } from './build/tables.js';
import { verify, type VerifyOptions, type VerifyReport } from './build/verify.js';
import { listParked, type Parked, type ParkedRow } from './parking.js';
import { retryParked } from './retry-parked.js';

/** A difference, and the last event that changed the row, if any did. */
export interface ExplainedDifference extends Difference {
  readonly event: { readonly type: string; readonly position: Position } | undefined;
}

/** What an operator does with the tables. */
export class Maintenance {
  private readonly closing = new AbortController();
  private readonly jobs = new Set<Promise<unknown>>();

  constructor(private readonly context: RebuildContext) {}

  /** @throws RebuildRunning, VerificationFailed as {@link rebuild}. */
  async rebuild(options: RebuildOptions, id = newRebuildId()): Promise<RebuildReport> {
    await ensureTables(this.context.pool, this.context.target, true);
    const signal = AbortSignal.any([this.closing.signal, ...(options.signal ? [options.signal] : [])]);
    return this.track(rebuild(this.context, id, { ...options, signal }));
  }

  /**
   * Begins a rebuild that goes on by itself.
   * @returns its id, once it is under way.
   * @throws RebuildRunning
   */
  async startRebuild(options: Pick<RebuildOptions, 'allowParked'>): Promise<string> {
    const id = newRebuildId();
    await new Promise<void>((begun, refused) => {
      const onPhase = async () => begun();
      // How it ended is written down.
      this.rebuild({ ...options, onPhase }, id).then(() => begun(), refused);
    });
    return id;
  }

  /** The rebuild with this id, or the last one. */
  rebuildOf(id?: string): Promise<RebuildRow | undefined> {
    return readRebuild(this.context.pool, this.context.target.schema, id);
  }

  /**
   * Builds the tables as they stood, in a schema of their own.
   * @param replace what was built there before.
   * @throws SchemaTaken
   */
  async buildAsOf(
    moment: Moment,
    schema: string,
    replace: boolean,
    options: RebuildOptions,
  ): Promise<RebuildReport> {
    const { pool, store, target } = this.context;
    if (schema === target.schema || schema.startsWith(`${target.schema}_`) || schema.startsWith('colophon_'))
      throw new SchemaTaken(`names like ${schema} are kept for the tables that are read`);
    const mark = await markOf(pool, schema);
    if (mark !== undefined && !mark?.includes(AS_OF)) throw new SchemaTaken(`${schema} holds something else`);
    if (mark && !replace) throw new SchemaTaken(`${schema} is there already; --replace builds it anew`);
    if ('time' in moment && moment.time.getTime() > Date.now())
      throw new SchemaTaken('the time is yet to come');
    const head = await store.head();
    const to = 'time' in moment ? await store.positionAt(moment.time) : moment.position;
    if (to !== undefined && (head === undefined || to > head))
      throw new SchemaTaken('the position is yet to come');
    return this.track(buildAsOf({ ...this.context, target: { ...target, schema } }, to, options));
  }

  /** @throws RebuildRunning, NotComparable as {@link verify}. */
  async verify(
    options: Omit<VerifyOptions, 'onDifference'> & { onDifference: (found: ExplainedDifference) => void },
  ): Promise<VerifyReport> {
    const { pool, store, target } = this.context;
    await ensureTables(pool, target, true);
    const verified = verify(this.context, {
      ...options,
      onDifference: async (difference, position) => {
        const { table, key } = difference;
        const changes = await target.projection.explain(store, table, key, position).catch(() => []);
        options.onDifference({ ...difference, event: changes.at(-1)?.event });
      },
    });
    return this.track(verified);
  }

  async parked(stream?: string): Promise<ParkedRow[]> {
    await ensureTables(this.context.pool, this.context.target, true);
    return listParked(this.context.pool, this.context.target.schema, stream);
  }

  /** Takes a stream's parked events up again, without the first where that is to be skipped. @throws NothingParked */
  async retry(stream: string, skip: boolean): Promise<Parked[]> {
    const { connectionString, store, target } = this.context;
    const client = await connect(connectionString);
    try {
      await client.query(`set search_path to ${target.schema}, public`);
      return await retryParked(client, target, store, stream, skip);
    } finally {
      await client.end();
    }
  }

  /** What is under way when we close is given the time to clean up. */
  private track<T>(job: Promise<T>): Promise<T> {
    const settled = job.then(
      () => undefined,
      () => undefined,
    );
    this.jobs.add(settled);
    void settled.then(() => this.jobs.delete(settled));
    return job;
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled(this.jobs);
  }
}
