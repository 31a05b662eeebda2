import type { Pool } from 'pg';
import type { EventStore } from '../../src/event-store/event-store.js';
import { unavailable } from '../../src/http/problem.js';
import { prepared } from '../../src/postgres/database.js';
import { decodeCursor, toPage } from '../page.js';
import type { Projector } from '../projector.js';

const PATIENCE_MS = 5_000;
/** The sort order that a cursor names. */
const SORT = 'id of book';

/** Finds the books that are linked to an author, in tables that reach the log's head as of the call. */
export class BooksInTables {
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
      text: 'select count(*)::integer as count from author_book where author_id = $1',
      values: [authorId],
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
    const rest = cursor ? 'and book_id > $3' : '';
    const { rows } = await this.pool.query<{ id: string }>(
      prepared(
        `select book_id as id from author_book where author_id = $1 ${rest} order by book_id limit $2`,
        cursor ? [authorId, limit + 1, cursor[1]] : [authorId, limit + 1],
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
