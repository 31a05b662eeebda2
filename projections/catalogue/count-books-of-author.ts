import type { Pool } from 'pg';
import type { EventStore } from '../../src/event-store/event-store.js';
import { unavailable } from '../../src/http/problem.js';
import type { Projector } from '../projector.js';

const PATIENCE_MS = 5_000;

/**
 * How many books are linked to the author, once the tables hold everything the log held at the call.
 * @throws Problem (503) when they don't get there in time.
 */
export async function countBooksOfAuthor(
  authorId: string,
  pool: Pool,
  store: EventStore,
  projector: Projector,
): Promise<number> {
  const head = await store.head();
  if (head !== undefined && !(await projector.reached(head, PATIENCE_MS)))
    throw unavailable('The tables are behind the log, so the author’s books are not known.');
  const { rows } = await pool.query<{ count: number }>({
    name: 'count-books',
    text: 'select count(*)::integer as count from author_book where author_id = $1',
    values: [authorId],
  });
  return rows[0]?.count ?? 0;
}
