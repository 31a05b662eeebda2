import { Injectable } from '@nestjs/common';
import type DataLoader from 'dataloader';
import type { Pool } from 'pg';
import { Problem, unavailable } from '../../src/http/problem.js';
import { batching } from '../../src/postgres/batching.js';
import { prepared } from '../../src/postgres/database.js';
import {
  authorColumns,
  authorsOfBook,
  bookColumns,
  booksOfAuthor,
  type AuthorRecord,
  type BookRecord,
} from './views.js';

/** The pool for single authors and books. Its search path is the catalogue's schema. */
export abstract class CataloguePool {
  abstract readonly pool: Pool;
}

/** The pool for lists: however slow they are, single authors and books don't wait for them. */
export abstract class ListPool {
  abstract readonly pool: Pool;
}

/**
 * Reads single authors and books. Concurrent requests share a statement. With 64 connections, one point query for each
 * request costs the server several times as much.
 */
@Injectable()
export class ReadModel {
  readonly author: DataLoader<string, AuthorRecord | undefined>;
  readonly authorWithBooks: DataLoader<string, AuthorRecord | undefined>;
  readonly book: DataLoader<string, BookRecord | undefined>;
  readonly bookWithAuthors: DataLoader<string, BookRecord | undefined>;
  private readonly pool: Pool;

  constructor({ pool }: CataloguePool) {
    this.pool = pool;
    this.author = this.byId(`select ${authorColumns} from authors a where a.id = any($1)`);
    this.authorWithBooks = this.byId(
      `select ${authorColumns}, ${booksOfAuthor} from authors a where a.id = any($1)`,
    );
    this.book = this.byId(`select ${bookColumns} from books b where b.id = any($1)`);
    this.bookWithAuthors = this.byId(
      `select ${bookColumns}, ${authorsOfBook} from books b where b.id = any($1)`,
    );
  }

  /** The problem for an id without a row: removed (410), parked, or unknown (404). */
  async missing(kind: 'author' | 'book', id: string): Promise<Problem> {
    const { rows } = await this.pool.query<{ removed: boolean; parked: boolean }>({
      name: 'why-missing',
      text: `select exists (select from removed where kind = $1 and id = $2) as removed,
                    exists (select from parked where stream = $3) as parked`,
      values: [kind, id, `${kind}-${id}`],
    });
    if (rows[0]?.removed) return new Problem(410, `${kind}-removed`, `The ${kind} has been removed.`);
    if (rows[0]?.parked) return notInTables(kind);
    return new Problem(404, `${kind}-not-found`, `There is no ${kind} with this id.`);
  }

  private byId<Row extends { readonly id: string }>(text: string): DataLoader<string, Row | undefined> {
    const load = async (ids: readonly string[]) => {
      const { rows } = await this.pool.query<Row>(prepared(text, [ids]));
      const found = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => found.get(id));
    };
    return batching(load, MAX_KEYS);
  }
}

const MAX_KEYS = 100;

/** The problem for an author or book whose first event is parked. */
export const notInTables = (kind: 'author' | 'book'): Problem =>
  unavailable(`The ${kind} is not in the tables: one of its events could not be applied and is parked.`);
