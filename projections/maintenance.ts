import { Logger } from '@nestjs/common';
import type { Position } from '../src/event-store/event-store.js';
import { PositionTokens } from '../src/event-store/position-token.js';
import type { HttpCommandContext } from '../src/http/request-context.js';
import type { Act } from '../src/operations/operations.events.js';
import { connect } from '../src/postgres/database.js';
import { positionOf, YetToCome, type Moment } from '../src/event-store/moment.js';
import { within } from '../src/event-store/within.js';
import type { Difference } from './build/differences.js';
import { AS_OF, buildAsOf } from './build/as-of.js';
import type { RebuildContext, RebuildOptions, RebuildReport } from './build/build.js';
import { admitReaders } from './build/readers.js';
import { newRebuildId, readRebuild, type RebuildRow } from './build/rebuild-record.js';
import { rebuild } from './build/rebuild.js';
import { markOf, SchemaTaken } from './build/schemas.js';
import { ensureTables } from './build/tables.js';
import { verify, type VerifyOptions, type VerifyReport } from './build/verify.js';
import { listParked, readParkedSince, type Parked, type ParkedRow } from './parking.js';
import { retryParked } from './retry-parked.js';

/** Who asked for work on the tables, and why. */
export type Operator = Omit<HttpCommandContext, 'newResourceId'>;

/** Tells the log what operators did. */
export interface Acts {
  readonly record: (act: Act, by: Operator) => Promise<void>;
}

interface Asked {
  /** Without an operator, the work is Colophon's own, and the log does not tell of it. */
  readonly by?: Operator;
}

/** A difference, and the last event that changed the row, if any did. */
export interface ExplainedDifference extends Difference {
  readonly event: { readonly type: string; readonly position: Position } | undefined;
}

/** How long a rebuild in the background may take to begin. A server that freezes would otherwise never be given up. */
const BEGIN_MS = 15_000;

/**
 * The operator's work on the tables of a projection: rebuild, verify, repair, retry. The log tells of what took effect,
 * with the operator and the reason. If the log can't be told, the work is done all the same, and ends with that error.
 */
export class Maintenance {
  private readonly logger = new Logger('maintenance');
  private readonly closing = new AbortController();
  private readonly jobs = new Set<Promise<unknown>>();

  constructor(
    private readonly context: RebuildContext,
    private readonly acts?: Acts,
  ) {}

  /** Name of the projection. */
  get name(): string {
    return this.context.target.projection.name;
  }

  /** @throws RebuildRunning, VerificationFailed, like {@link rebuild}. */
  async rebuild({ by, ...options }: RebuildOptions & Asked, id = newRebuildId()): Promise<RebuildReport> {
    await ensureTables(this.context.pool, this.context.target, true);
    const signal = AbortSignal.any([this.closing.signal, ...(options.signal ? [options.signal] : [])]);
    const onApplied = ({ position, events, parked, rows }: RebuildReport) =>
      this.tell(by, {
        type: 'TablesRebuilt',
        data: { ...this.tables, position: this.tokenOf(position), events, parked, rows },
      });
    return this.track(rebuild(this.context, id, { ...options, signal, onApplied }));
  }

  /**
   * Starts a rebuild in the background. The log tells of the rebuild when it ends, with who asked and why.
   * @returns the rebuild's id, after the rebuild has started.
   * @throws RebuildRunning
   * @throws EventStoreUnavailable if the rebuild did not begin in time. The rebuild may begin later.
   */
  async startRebuild(options: Pick<RebuildOptions, 'allowParked'> & Asked): Promise<string> {
    const id = newRebuildId();
    const begin = new Promise<void>((begun, refused) => {
      const onPhase = async () => begun();
      // Nobody awaits the end: the rebuild records its outcome in the database.
      const onHeldUp = (holders: string) => this.logger.warn(`the rebuild waits for ${holders}`);
      this.rebuild({ ...options, onPhase, onHeldUp }, id).then(() => begun(), refused);
    });
    await within(performance.now() + BEGIN_MS, begin);
    return id;
  }

  /** The rebuild with this id, or the last rebuild. */
  rebuildOf(id?: string): Promise<RebuildRow | undefined> {
    return readRebuild(this.context.pool, this.context.target.schema, id);
  }

  /**
   * Builds the tables as of a moment, in a separate schema.
   * @param replace replaces the tables that an earlier call built in this schema.
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
      throw new SchemaTaken(`names like ${schema} are reserved for the live tables`);
    const mark = await markOf(pool, schema);
    if (mark !== undefined && !mark?.includes(AS_OF)) throw new SchemaTaken(`${schema} holds something else`);
    if (mark && !replace)
      throw new SchemaTaken(`${schema} already exists; --replace builds the schema again`);
    const to = await positionOf(store, moment).catch((error: unknown) => {
      throw error instanceof YetToCome ? new SchemaTaken(error.message) : error;
    });
    const built = { ...target, schema };
    const report = await this.track(buildAsOf({ ...this.context, target: built }, to, options));
    await admitReaders(pool, built);
    return report;
  }

  /** @throws RebuildRunning, NotComparable, like {@link verify}. */
  async verify({
    by,
    ...options
  }: Omit<VerifyOptions, 'onDifference'> &
    Asked & { onDifference: (found: ExplainedDifference) => void }): Promise<VerifyReport> {
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
    const told = verified.then(async (report) => {
      const { repaired: rows, position } = report;
      const data = { ...this.tables, position: this.tokenOf(position), rows };
      if (rows > 0) await this.tell(by, { type: 'TablesRepaired', data });
      return report;
    });
    return this.track(told);
  }

  async parked(stream?: string): Promise<ParkedRow[]> {
    await ensureTables(this.context.pool, this.context.target, true);
    return listParked(this.context.pool, this.context.target.schema, stream);
  }

  /** Since when the oldest of the parked events is parked; undefined if nothing is parked. */
  parkedSince(): Promise<Date | undefined> {
    return readParkedSince(this.context.pool, this.context.target.schema);
  }

  /**
   * Applies a stream's parked events again.
   * @returns the events that are still parked.
   * @throws NothingParked
   */
  async retry(stream: string, { by }: Asked = {}): Promise<readonly Parked[]> {
    const { connectionString, store, target } = this.context;
    const client = await connect(connectionString);
    try {
      await client.query(`set search_path to ${target.schema}, public`);
      const { applied, left } = await retryParked(client, target, store, stream);
      const data = { ...this.tables, stream, applied, parked: left.length };
      if (applied > 0) await this.tell(by, { type: 'ParkedRetried', data });
      return left;
    } finally {
      await client.end();
    }
  }

  private get tables() {
    const { projection, schema } = this.context.target;
    return { projection: projection.name, schema, version: projection.version };
  }

  private tokenOf(position: Position | undefined): string | null {
    return position === undefined ? null : new PositionTokens(this.context.target.log).format(position);
  }

  private async tell(by: Operator | undefined, act: Act): Promise<void> {
    if (by) await this.acts?.record(act, by);
  }

  /** Tracks a job, so that `close` can wait until the job has cleaned up. */
  private track<T>(job: Promise<T>): Promise<T> {
    const settled = job.then(
      () => undefined,
      () => undefined,
    );
    this.jobs.add(settled);
    void settled.then(() => this.jobs.delete(settled));
    return job;
  }

  /** Aborts running jobs, and waits until they have cleaned up. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled(this.jobs);
  }
}
