import type { Pool } from 'pg';
import type { EventStore } from '../../src/event-store/event-store.js';
import { unavailable } from '../../src/http/problem.js';
import type { Projector } from '../projector.js';

const PATIENCE_MS = 5_000;

/**
 * Number of books linked to the author. First waits until the tables reach the log's head as of the call.
 * @throws Problem 503 if the tables don't reach the head in time.
 */
export async function countBooksOfAuthor(
  authorId: string,
  pool: Pool,
  store: EventStore,
  projector: Projector,
): Promise<number> {
  const head = await store.head();
  if (head !== undefined && !(await projector.reached(head, PATIENCE_MS)))
    throw unavailable('The tables are behind the log, so the number of the author’s books is unknown.');
  const { rows } = await pool.query<{ count: number }>({
    name: 'count-books',
    text: 'select count(*)::integer as count from author_book where author_id = $1',
    values: [authorId],
  });
  return rows[0]?.count ?? 0;
}
