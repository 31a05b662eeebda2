import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Pool } from 'pg';
import type { Phase, RebuildOptions, RebuildProgress } from './build.js';

/** Key of a session lock. The session that holds the lock does the work that `what` names. */
export const lockOf = (what: string): string => `colophon ${what}`;
export const rebuildOf = (schema: string): string => `rebuild of ${schema}`;

const WRITE_EVERY_MS = 500;

/** Reports progress, and writes progress to the database, so that every instance can show how far a rebuild is. */
export class RebuildRecord {
  private written = -Infinity;
  private last: RebuildProgress = { phase: 'loading', done: 0, total: 0 };
  private holders: string | undefined;

  constructor(
    private readonly options: RebuildOptions,
    private readonly row?: { readonly pool: Pool; readonly schema: string; readonly id: string },
  ) {}

  static async begin(
    pool: Pool,
    schema: string,
    id: string,
    options: RebuildOptions,
  ): Promise<RebuildRecord> {
    await pool.query(
      `update ${schema}.rebuilds set phase = 'failed', ended_at = now(), error = 'it was killed' where ended_at is null`,
    );
    await pool.query(
      `insert into ${schema}.rebuilds (id, started_by, phase, done, total) values ($1, $2, 'loading', 0, 0)`,
      [id, `process ${process.pid} on ${hostname()}`],
    );
    return new RebuildRecord(options, { pool, schema, id });
  }

  async enter(phase: Phase, shadow: string): Promise<void> {
    this.options.signal?.throwIfAborted();
    this.written = -Infinity;
    this.holders = undefined;
    this.report(phase, 0, 0);
    await this.options.onPhase?.(phase, shadow);
  }

  report(phase: Phase, done: number, total: number): void {
    this.last = { phase, done, total };
    this.options.onProgress?.(this.last);
    if (performance.now() - this.written < WRITE_EVERY_MS) return;
    this.written = performance.now();
    this.write('').catch(() => undefined);
  }

  /** Records which sessions hold up the work. Told once, until other sessions do. */
  heldUp(holders: string): void {
    if (holders === this.holders) return;
    this.holders = holders;
    this.options.onHeldUp?.(holders);
    this.write('').catch(() => undefined);
  }

  async end(error?: string): Promise<void> {
    this.last = { ...this.last, phase: error === undefined ? 'done' : 'failed' };
    await this.write(', ended_at = now(), error = $6', error ?? null).catch(() => undefined);
    this.options.onProgress?.(this.last);
  }

  private async write(more: string, ...values: unknown[]): Promise<void> {
    if (!this.row) return;
    const { pool, schema, id } = this.row;
    const { phase, done, total } = this.last;
    await pool.query(
      `update ${schema}.rebuilds set phase = $1, done = $2, total = $3, held_up_by = $5, updated_at = now()${more}
       where id = $4 and ended_at is null`,
      [phase, done, total, id, this.holders ?? null, ...values],
    );
  }
}

/** A rebuild as recorded in the database. */
export interface RebuildRow extends RebuildProgress {
  readonly id: string;
  readonly startedAt: Date;
  readonly startedBy: string;
  readonly updatedAt: Date;
  readonly endedAt: Date | null;
  readonly error: string | null;
  /** The sessions whose locks the rebuild waits for. */
  readonly heldUpBy: string | null;
}

/** The rebuild with this id, or the last rebuild. Killed, if the rebuild hasn't ended and no session holds its lock. */
export async function readRebuild(pool: Pool, schema: string, id?: string): Promise<RebuildRow | undefined> {
  const { rows } = await pool.query<RebuildRow & { alive: boolean; done: string; total: string }>(
    `select id, phase, done, total, started_at as "startedAt", started_by as "startedBy", updated_at as "updatedAt",
       ended_at as "endedAt", error, held_up_by as "heldUpBy",
       exists (select from pg_locks where locktype = 'advisory' and granted
         and database = (select oid from pg_database where datname = current_database())
         and (classid::bigint << 32 | objid::bigint) = hashtextextended($1, 0)) as alive
     from ${schema}.rebuilds where $2::uuid is null or id = $2 order by started_at desc limit 1`,
    [lockOf(rebuildOf(schema)), id ?? null],
  );
  const [row] = rows;
  if (!row) return undefined;
  const { alive, done, total, ...rest } = row;
  const counted = { ...rest, done: Number(done), total: Number(total) };
  if (alive || row.endedAt) return counted;
  return { ...counted, phase: 'failed', endedAt: row.updatedAt, error: 'it was killed' };
}

export const newRebuildId = (): string => randomUUID();
