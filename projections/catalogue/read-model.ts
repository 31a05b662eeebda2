import { Injectable } from '@nestjs/common';
import type DataLoader from 'dataloader';
import type { Pool } from 'pg';
import { Problem, unavailable } from '../../src/http/problem.js';
import { batching } from '../../src/postgres/batching.js';
import { prepared } from '../../src/postgres/database.js';
import { sqlState } from '../../src/postgres/errors.js';
import type { Shown } from './representation.js';
import { AUTHOR_JSON, AUTHOR_JSON_WITH_BOOKS, BOOK_JSON, BOOK_JSON_WITH_AUTHORS } from './views.js';

/** The pool for single authors and books. Its search path is the catalogue's schema. */
export abstract class CataloguePool {
  abstract readonly pool: Pool;
}

/** The pool for lists: however slow they are, single authors and books don't wait for them. */
export abstract class ListPool {
  abstract readonly pool: Pool;
}

type Loader<Row> = DataLoader<string, Row | undefined>;

/** A row as the JSON of an answer. */
interface Written extends Shown {
  readonly json: string;
}

/**
 * Reads single authors and books. Concurrent requests share a statement. With 64 connections, one point query for each
 * request costs the server several times as much.
 */
@Injectable()
export class ReadModel {
  readonly author: Loader<Written>;
  readonly authorWithBooks: Loader<Written>;
  readonly authorShown: Loader<Shown>;
  readonly book: Loader<Written>;
  readonly bookWithAuthors: Loader<Written>;
  readonly bookShown: Loader<Shown>;
  private readonly pool: Pool;

  constructor({ pool }: CataloguePool) {
    this.pool = pool;
    this.author = this.byId('authors a', AUTHOR_JSON);
    this.authorWithBooks = this.byId('authors a', AUTHOR_JSON_WITH_BOOKS);
    this.authorShown = this.byId('authors a');
    this.book = this.byId('books b', BOOK_JSON);
    this.bookWithAuthors = this.byId('books b', BOOK_JSON_WITH_AUTHORS);
    this.bookShown = this.byId('books b');
  }

  /** The error for an id without a row: {@link Merged}, removed (410), parked, or unknown (404). */
  async missing(kind: 'author' | 'book', id: string): Promise<Problem | Merged> {
    const survivor = kind === 'author' ? await this.survivorOf(id) : null;
    if (survivor !== null) return new Merged(survivor);
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

  private async survivorOf(id: string): Promise<string | null> {
    const { rows } = await this.pool
      .query<{ survivor: string | null }>({
        name: 'survivor-of-author',
        text: 'select survivor_id as survivor from author_redirects where author_id = $1',
        values: [id],
      })
      .catch((error: unknown) => {
        // Tables of an older version have no merged authors.
        if (sqlState(error) === UNDEFINED_TABLE) return { rows: [] };
        throw error;
      });
    return rows[0]?.survivor ?? null;
  }

  private byId(table: 'authors a' | 'books b', json: string): Loader<Written>;
  private byId(table: 'authors a' | 'books b'): Loader<Shown>;
  private byId(table: 'authors a' | 'books b', json = 'null'): Loader<Written> {
    const text = `select id, revision, stale, ${json} as json from ${table} where id = any($1)`;
    const load = async (ids: readonly string[]) => {
      const { rows } = await this.pool.query<Written & { id: string }>(prepared(text, [ids]));
      const found = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => found.get(id));
    };
    return batching(load, MAX_KEYS);
  }
}

const MAX_KEYS = 100;
const UNDEFINED_TABLE = '42P01';

/** The author was merged into another, or into one that was merged in turn. */
export class Merged extends Error {
  /** @param survivor id of the last author. */
  constructor(readonly survivor: string) {
    super(`The author was merged into the author ${survivor}.`);
  }
}

/** The problem for an author or book whose first event is parked. */
export const notInTables = (kind: 'author' | 'book'): Problem =>
  unavailable(`The ${kind} is not in the tables: one of its events could not be applied and is parked.`);
