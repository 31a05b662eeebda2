import type { Pool } from 'pg';
import type { Position } from '../../src/event-store/event-store.js';
import type { StreamFilter, StreamPage, StreamSearch } from '../../src/event-store/stream-search.js';
import { prepared } from '../../src/postgres/database.js';
import type { Projector } from '../projector.js';

/** Events that one statement looks at: some ten milliseconds. */
const LOOK = 4_000;
const LAST = 2n ** 63n - 1n;

/**
 * The streams of a change, and of an author's books, by the indexes of the projection `changes`. Events are looked at in the
 * order of their positions. So a page costs the same wherever it is, however many events have another category.
 */
export class FindStreams implements StreamSearch {
  constructor(
    private readonly pool: Pool,
    private readonly projector: Pick<Projector, 'schema' | 'reached' | 'readable'>,
  ) {}

  async reached(position: Position, patienceMs: number): Promise<boolean> {
    return (await this.projector.reached(position, patienceMs)) && this.projector.readable;
  }

  ofChange(change: string, filter: StreamFilter): Promise<StreamPage> {
    // By rows, and without an equality, so that no other index has the same order. Without a condition on the text itself, so
    // that the planner does not expect few rows.
    const digest = 'hashtextextended(change, 0)';
    const wanted = 'hashtextextended($1, 0)';
    return this.page(
      change,
      filter,
      `select stream, type, position, change = $1 as meant from ${this.projector.schema}.events
       where (${digest}, position) > (${wanted}, $2::bigint) and (${digest}, position) < (${wanted}, $3::bigint)
       order by ${digest}, position limit $4`,
    );
  }

  ofAuthor(authorId: string, filter: StreamFilter): Promise<StreamPage> {
    const { schema } = this.projector;
    return this.page(
      authorId,
      filter,
      `select e.stream, e.type, c.position, true as meant from (
         select position from ${schema}.concerned
         where (id, position) > ($1::uuid, $2::bigint) and (id, position) < ($1::uuid, $3::bigint)
         order by id, position limit $4
       ) c join ${schema}.events e on e.position = c.position order by c.position`,
    );
  }

  private async page(
    value: string,
    { category, types, after = -1n, before = LAST, look = LOOK }: StreamFilter,
    events: string,
  ): Promise<StreamPage> {
    const text = `
      with looked as materialized (${events})
      select array(
               select stream from looked
               where meant and ($5::text is null or split_part(stream, '-', 1) = $5) and ($6::text[] is null or type = any($6))
               order by position
             ) as streams,
             (select count(*)::integer from looked) as looked, (select max(position) from looked) as last`;
    const values = [value, after.toString(), before.toString(), look, category ?? null, types ?? null];
    const { rows } = await this.pool.query<{ streams: string[]; looked: number; last: string | null }>(
      prepared(text, values),
    );
    const { streams = [], looked = 0, last } = rows[0] ?? {};
    return { streams: [...new Set(streams)], next: looked < look || last == null ? undefined : BigInt(last) };
  }
}
