import type { Pool } from 'pg';
import type { EventStore } from '../../src/event-store/event-store.js';
import { unavailable } from '../../src/http/problem.js';
import { prepared } from '../../src/postgres/database.js';
import { decodeCursor, toPage } from '../page.js';
import type { Projector } from '../projector.js';

const PATIENCE_MS = 5_000;
/** The sort order that a cursor names. */
const SORT = 'id of book';

/**
 * The links of the authors `$1`, those included that a merge is about to give to them: they wait in the name of the merged
 * author.
 */
export const linksOf = (schema: string): string => `(
  select author_id, book_id from ${schema}.author_book where author_id = any($1::uuid[])
  union select r.survivor_id, w.book_id
  from ${schema}.author_redirects r join ${schema}.waiting_links w on w.author_id = r.author_id
  where r.survivor_id = any($1::uuid[])) linked`;

/** Finds the books that are linked to an author, in tables that reach the log's head as of the call. */
export class BooksOfAuthorInTables {
  constructor(
    private readonly pool: Pool,
    private readonly store: EventStore,
    private readonly projector: Projector,
  ) {}

  /** @throws Problem 503 if the tables don't reach the head in time. */
  async count(authorId: string): Promise<number> {
    await this.caughtUp();
    const { rows } = await this.pool.query<{ count: number }>({
      name: 'count-books',
      text: `select count(*)::integer as count from ${linksOf(this.projector.schema)}`,
      values: [[authorId]],
    });
    return rows[0]?.count ?? 0;
  }

  /**
   * Ids of the books, in the order of ids.
   * @param page.after the `next` of the page before.
   * @throws Problem 503 if the tables don't reach the head in time; 400 if `after` isn't the `next` of a page.
   */
  async page(
    authorId: string,
    { limit, after }: { readonly limit: number; readonly after?: string | undefined },
  ): Promise<{ readonly ids: readonly string[]; readonly next: string | null }> {
    const cursor = after === undefined ? undefined : decodeCursor(SORT, after);
    await this.caughtUp();
    const rest = cursor ? 'where book_id > $3' : '';
    const { rows } = await this.pool.query<{ id: string }>(
      prepared(
        `select book_id as id from ${linksOf(this.projector.schema)} ${rest} order by book_id limit $2`,
        cursor ? [[authorId], limit + 1, cursor[1]] : [[authorId], limit + 1],
      ),
    );
    const { items, next } = toPage(
      rows,
      limit,
      SORT,
      ({ id }) => ['', id],
      ({ id }) => id,
    );
    return { ids: items, next };
  }

  private async caughtUp(): Promise<void> {
    const head = await this.store.head();
    if (head !== undefined && !(await this.projector.reached(head, PATIENCE_MS)))
      throw unavailable('The tables are behind the log, so the author’s books are unknown.');
  }
}
