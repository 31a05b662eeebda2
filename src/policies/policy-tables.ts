import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientBase, Pool } from 'pg';
import type { Position } from '../event-store/event-store.js';
import { LeadLost } from '../followers/follower.js';
import { transaction } from '../postgres/database.js';

/** How far policies have followed the log. */
export interface Checkpoint {
  /** Id of the log. */
  readonly log: string;
  readonly position: Position | undefined;
  /** Id of the event at the position. */
  readonly eventId: string | undefined;
  /** Links up to this position are found by tasks. */
  readonly linksFrom: Position;
}

/** Who is removed with books, or merged. */
export interface Gone {
  readonly authorId: string;
  /** Position of the event that removed or merged the author. */
  readonly cause: Position;
  readonly merged: boolean;
  readonly change: string;
}

/** What an event means for other streams. */
export interface Task {
  /** Position of the event that is carried out. */
  readonly cause: Position;
  /** Position of the event that made the task. */
  readonly position: Position;
  /** The only stream to look at; empty for all. */
  readonly stream: string;
  readonly what: string;
  readonly change: string;
}

/** How far a task got: the part, and the place in this part; undefined at the part's beginning. */
export interface Progress {
  readonly part: number;
  readonly cursor: Position | undefined;
  /** Number of streams that were changed. */
  readonly changed: number;
}

export interface OpenTask extends Task, Progress {
  readonly begunAt: Date;
  /** Number of streams for which the task failed. */
  readonly parked: number;
}

/** A stream for which a task failed. */
export interface ParkedStream {
  readonly stream: string;
  readonly cause: Position;
  readonly what: string;
  readonly change: string;
  readonly error: string;
  readonly parkedAt: Date;
}

/** A fact that a revert left as it was. */
export interface LeftFact {
  readonly stream: string;
  readonly fact: string;
  readonly why: string;
  /** Position of the event that changed the fact since. */
  readonly since: Position | undefined;
}

/** What waits in the tables. */
export interface Counts {
  readonly open: number;
  readonly openSince: Date | undefined;
  readonly parked: number;
  readonly parkedSince: Date | undefined;
}

/** What one batch of events changes in the tables. */
export interface Taken {
  readonly tasks: readonly Task[];
  /** Who is gone now, and who is back. */
  readonly gone: readonly Gone[];
  readonly back: readonly string[];
}

/** What a task found out since it last wrote its progress. */
export interface Findings {
  readonly parked: readonly { readonly stream: string; readonly error: string }[];
  readonly left: readonly LeftFact[];
}

interface TaskRow {
  cause: string;
  position: string;
  stream: string;
  what: string;
  change: string;
  part: number;
  cursor: string | null;
  changed: string;
  begun_at: Date;
  parked: number;
}

const bigintOf = (text: string | null | undefined): bigint | undefined =>
  text == null ? undefined : BigInt(text);

const toTask = (row: TaskRow): OpenTask => ({
  cause: BigInt(row.cause),
  position: BigInt(row.position),
  stream: row.stream,
  what: row.what,
  change: row.change,
  part: row.part,
  cursor: bigintOf(row.cursor),
  changed: Number(row.changed),
  begunAt: row.begun_at,
  parked: row.parked,
});

/** PostgreSQL takes no U+0000 in a text. */
const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '\uFFFD');

/** The tables of policies, in a schema of their own. */
export class PolicyTables {
  constructor(
    private readonly pool: Pool,
    readonly schema: string,
  ) {}

  /** Creates what is missing. */
  async ensure(): Promise<void> {
    const { schema } = this;
    await transaction(this.pool, async (client) => {
      await client.query(`select pg_advisory_xact_lock(hashtextextended('colophon tables ' || $1, 0))`, [
        schema,
      ]);
      const tables = readFileSync(join(import.meta.dirname, 'tables.sql'), 'utf8');
      await client.query(
        `set local client_min_messages = warning; create schema if not exists ${schema};
         set local search_path to ${schema}; ${tables}`,
      );
    });
  }

  /** @returns undefined if policies have not begun, or the tables don't exist. */
  async checkpoint(db: Pick<ClientBase, 'query'> = this.pool): Promise<Checkpoint | undefined> {
    const { rows } = await db.query<{
      log_id: string;
      position: string | null;
      event_id: string | null;
      links_from: string;
    }>(`select log_id, position, event_id, links_from from ${this.schema}.checkpoint`);
    const [row] = rows;
    return (
      row && {
        log: row.log_id,
        position: bigintOf(row.position),
        eventId: row.event_id ?? undefined,
        linksFrom: BigInt(row.links_from),
      }
    );
  }

  /** Empties the tables, for policies to begin with the first event of a log. */
  async begin(client: ClientBase, log: string, linksFrom: Position): Promise<Checkpoint> {
    const { schema } = this;
    await client.query('begin');
    try {
      await client.query(
        `truncate ${['checkpoint', 'gone', 'tasks', 'parked', 'left_alone'].map((table) => `${schema}.${table}`).join()}`,
      );
      await client.query(`insert into ${schema}.checkpoint (log_id, links_from) values ($1, $2)`, [
        log,
        linksFrom.toString(),
      ]);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
    return { log, position: undefined, eventId: undefined, linksFrom };
  }

  /** Those of the authors who are gone. */
  async goneAmong(client: ClientBase, authorIds: readonly string[]): Promise<Gone[]> {
    const { rows } = await client.query<{
      author_id: string;
      cause: string;
      merged: boolean;
      change: string;
    }>({
      name: 'gone-among',
      text: `select author_id, cause, merged, change from ${this.schema}.gone where author_id = any($1::uuid[])`,
      values: [authorIds],
    });
    return rows.map(({ author_id: authorId, cause, merged, change }) => ({
      authorId,
      cause: BigInt(cause),
      merged,
      change,
    }));
  }

  /**
   * Takes in a batch: checkpoint, tasks, and who is gone, in one transaction.
   * @throws LeadLost if another process moved the checkpoint.
   */
  async take(
    client: ClientBase,
    from: Checkpoint,
    to: { readonly position: Position; readonly id: string },
    { tasks, gone, back }: Taken,
  ): Promise<Checkpoint> {
    const { schema } = this;
    await client.query('begin isolation level read committed');
    try {
      const moved = await client.query({
        name: 'move-policies',
        text: `update ${schema}.checkpoint set position = $1, event_id = $2, updated_at = now()
               where log_id = $3 and position is not distinct from $4 and links_from = $5`,
        values: [
          to.position.toString(),
          to.id,
          from.log,
          from.position?.toString() ?? null,
          from.linksFrom.toString(),
        ],
      });
      if (moved.rowCount !== 1) throw new LeadLost();
      if (tasks.length > 0)
        await client.query(
          `insert into ${schema}.tasks (cause, position, stream, what, change)
           select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[])
           on conflict do nothing`,
          [
            tasks.map(({ cause }) => cause.toString()),
            tasks.map(({ position }) => position.toString()),
            tasks.map(({ stream }) => stream),
            tasks.map(({ what }) => what),
            tasks.map(({ change }) => storable(change)),
          ],
        );
      if (back.length > 0)
        await client.query(`delete from ${schema}.gone where author_id = any($1::uuid[])`, [back]);
      if (gone.length > 0)
        await client.query(
          `insert into ${schema}.gone (author_id, cause, merged, change)
           select * from unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::text[])
           on conflict (author_id) do update
             set cause = excluded.cause, merged = excluded.merged, change = excluded.change`,
          [
            gone.map(({ authorId }) => authorId),
            gone.map(({ cause }) => cause.toString()),
            gone.map(({ merged }) => merged),
            gone.map(({ change }) => storable(change)),
          ],
        );
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
    return { ...from, position: to.position, eventId: to.id };
  }

  /**
   * The tasks that are not done, the oldest first.
   * @param change only tasks of this change.
   */
  async open(limit: number, change?: string): Promise<OpenTask[]> {
    const { schema } = this;
    const { rows } = await this.pool.query<TaskRow>(
      `select t.*, (select count(*)::integer from ${schema}.parked p
                    where p.cause = t.cause and hashtextextended(p.change, 0) = hashtextextended(t.change, 0)) as parked
       from ${schema}.tasks t where done_at is null and ($2::text is null or change = $2)
       order by position, cause limit $1`,
      [limit, change ?? null],
    );
    return rows.map(toTask);
  }

  /** Whether older tasks of a change are open. */
  async hasOlder(change: string, position: Position): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `select from ${this.schema}.tasks where done_at is null and change = $1 and position < $2 limit 1`,
      [change, position.toString()],
    );
    return rowCount === 1;
  }

  /** Writes how far a task got, and what it found out since the last call, in one statement. */
  async record(
    task: Task,
    { part, cursor, changed }: Progress,
    { parked, left }: Findings,
    done = false,
  ): Promise<void> {
    const { schema } = this;
    const { cause, position, stream, what, change } = task;
    await this.pool.query({
      name: `record-${schema}`,
      text: `
        with failed as (
          insert into ${schema}.parked (stream, cause, what, change, error)
          select distinct on (stream) stream, $1::bigint, $4, $5, error
          from unnest($6::text[], $7::text[]) new (stream, error)
          on conflict (stream, cause) do update set error = excluded.error, parked_at = now()
        ), kept as (
          insert into ${schema}.left_alone (cause, change, stream, fact, why, since)
          select distinct on (stream, fact) $1::bigint, $5, stream, fact, why, since
          from unnest($8::text[], $9::text[], $10::text[], $11::bigint[]) new (stream, fact, why, since)
          on conflict (cause, stream, fact) do update set why = excluded.why, since = excluded.since
        )
        update ${schema}.tasks
        set part = $12, cursor = $13, changed = $14, done_at = case when $15::boolean then now() end
        where cause = $1::bigint and position = $2 and stream = $3 and done_at is null`,
      values: [
        cause.toString(),
        position.toString(),
        stream,
        what,
        change,
        parked.map((one) => storable(one.stream)),
        parked.map(({ error }) => storable(error)),
        left.map((one) => storable(one.stream)),
        left.map(({ fact }) => fact),
        left.map(({ why }) => why),
        left.map(({ since }) => since?.toString() ?? null),
        part,
        cursor?.toString() ?? null,
        changed,
        done,
      ],
    });
  }

  /** The streams for which tasks failed, in the order of the causes. */
  async parked(filter: { stream?: string; change?: string; limit?: number } = {}): Promise<ParkedStream[]> {
    const { rows } = await this.pool.query<{
      stream: string;
      cause: string;
      what: string;
      change: string;
      error: string;
      parked_at: Date;
    }>(
      `select * from ${this.schema}.parked
       where ($1::text is null or stream = $1)
         and ($2::text is null or (hashtextextended(change, 0) = hashtextextended($2, 0) and change = $2))
       order by cause, stream limit $3`,
      [filter.stream ?? null, filter.change ?? null, filter.limit ?? null],
    );
    return rows.map(({ cause, parked_at: parkedAt, ...rest }) => ({
      ...rest,
      cause: BigInt(cause),
      parkedAt,
    }));
  }

  /** Numbers of open tasks and of parked streams, and since when the oldest of each waits. */
  async counts(): Promise<Counts> {
    const { rows } = await this.pool.query<{
      open: string;
      open_since: Date | null;
      parked: string;
      parked_since: Date | null;
    }>(
      `select * from
         (select count(*) as open, min(begun_at) as open_since from ${this.schema}.tasks where done_at is null) t,
         (select count(*) as parked, min(parked_at) as parked_since from ${this.schema}.parked) p`,
    );
    const { open = 0, parked = 0, open_since: openSince, parked_since: parkedSince } = rows[0] ?? {};
    return {
      open: Number(open),
      openSince: openSince ?? undefined,
      parked: Number(parked),
      parkedSince: parkedSince ?? undefined,
    };
  }

  /**
   * Takes a stream out of `parked`. The leader does the stream's part of the tasks again.
   * @returns the number of tasks; 0 if nothing was parked.
   */
  async retry(stream: string): Promise<number> {
    const { schema } = this;
    // The stream of the cause itself stands for the whole task.
    const { rowCount } = await this.pool.query(
      `with taken as (delete from ${schema}.parked where stream = $1 returning cause, what, change)
       insert into ${schema}.tasks (cause, position, stream, what, change)
       select cause, cause, $1, what, change from taken
       on conflict (cause, position, stream) do update set done_at = null, part = 0, cursor = null`,
      [stream],
    );
    return rowCount ?? 0;
  }

  /** Whether a task is open that is only about this stream. */
  async isOpen(stream: string): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `select from ${this.schema}.tasks where done_at is null and stream = $1 limit 1`,
      [stream],
    );
    return rowCount === 1;
  }

  /** Takes a stream out of `parked`, for good. */
  async drop(stream: string): Promise<number> {
    const { rowCount } = await this.pool.query(`delete from ${this.schema}.parked where stream = $1`, [
      stream,
    ]);
    return rowCount ?? 0;
  }

  /** What a revert left as it was, in the order of the streams' names. */
  async leftAlone(change: string, limit: number): Promise<{ facts: LeftFact[]; total: number }> {
    const ofChange = 'hashtextextended(change, 0) = hashtextextended($1, 0) and change = $1';
    const { rows } = await this.pool.query<{
      stream: string;
      fact: string;
      why: string;
      since: string | null;
      total: string;
    }>(
      `select stream, fact, why, since, (select count(*) from ${this.schema}.left_alone where ${ofChange}) as total
       from ${this.schema}.left_alone where ${ofChange} order by stream, fact limit $2`,
      [change, limit],
    );
    return {
      facts: rows.map(({ stream, fact, why, since }) => ({ stream, fact, why, since: bigintOf(since) })),
      total: Number(rows[0]?.total ?? 0),
    };
  }

  /** How far policies are, and which of these changes have open tasks: one statement for all who wait. */
  async standing(
    changes: readonly string[],
  ): Promise<{ log?: string; position: Position | undefined; open: Set<string> }> {
    const { schema } = this;
    const { rows } = await this.pool.query<{ log_id: string; position: string | null; open: string[] }>({
      name: `policies-${schema}`,
      text: `select log_id, position, array(
               select distinct change from ${schema}.tasks where done_at is null and change = any($1)
             ) as open from ${schema}.checkpoint`,
      values: [changes],
    });
    const [row] = rows;
    return {
      ...(row && { log: row.log_id }),
      position: bigintOf(row?.position),
      open: new Set(row?.open),
    };
  }
}
