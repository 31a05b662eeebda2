import type { Pool } from 'pg';
import type { Position } from '../../src/event-store/event-store.js';
import type { Projector } from '../projector.js';
import { linksOf } from './books-of-author.js';

/** The live books of authors, by the catalogue's tables. */
export class LinkedBooksInTables {
  constructor(
    private readonly pool: Pool,
    private readonly projector: Pick<Projector, 'schema' | 'reached' | 'readable'>,
  ) {}

  async reached(position: Position, patienceMs: number): Promise<boolean> {
    return (await this.projector.reached(position, patienceMs)) && this.projector.readable;
  }

  async count(authorIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const { rows } = await this.pool.query<{ author_id: string; books: number }>({
      name: 'count-linked-books',
      text: `select author_id, count(*)::integer as books from ${linksOf(this.projector.schema)} group by author_id`,
      values: [authorIds],
    });
    return new Map(rows.map(({ author_id: id, books }) => [id, books]));
  }

  async of(authorId: string, limit: number): Promise<readonly string[]> {
    const { rows } = await this.pool.query<{ book_id: string }>({
      name: 'linked-books',
      text: `select book_id from ${linksOf(this.projector.schema)} limit $2`,
      values: [[authorId], limit],
    });
    return rows.map(({ book_id: id }) => id);
  }
}
