import { Injectable } from '@nestjs/common';
import type DataLoader from 'dataloader';
import type { Pool } from 'pg';
import { Problem } from '../../src/http/problem.js';
import { batching } from '../../src/postgres/batching.js';
import { authorColumns, bookColumns, type LinkRecord, type ResourceRecord } from './views.js';

/** The pool whose search path is the catalogue's schema. */
export abstract class CataloguePool {
  abstract readonly pool: Pool;
}

/**
 * Single rows and their links. Requests of the same tick share a statement: under 64 connections a point query each
 * costs the server several times as much.
 */
@Injectable()
export class ReadModel {
  readonly author: DataLoader<string, ResourceRecord | undefined>;
  readonly book: DataLoader<string, ResourceRecord | undefined>;
  /** All books of an author, by title. */
  readonly booksOf: DataLoader<string, LinkRecord[]>;
  /** All authors of a book, in its order. */
  readonly authorsOf: DataLoader<string, LinkRecord[]>;
  private readonly pool: Pool;

  constructor({ pool }: CataloguePool) {
    this.pool = pool;
    this.author = this.byId('authors', `select ${authorColumns} from authors a where a.id = any($1)`);
    this.book = this.byId('books', `select ${bookColumns} from books b where b.id = any($1)`);
    this.booksOf = this.lists(
      'books-of',
      `select l.author_id as owner, b.id, b.title as text, l.position, l.roles, l.credited_as as "creditedAs"
       from author_book l join books b on b.id = l.book_id where l.author_id = any($1)
       order by left(b.title_search, 200) collate "C", b.id`,
    );
    this.authorsOf = this.lists(
      'authors-of',
      `select l.book_id as owner, a.id, a.name as text, l.position, l.roles, l.credited_as as "creditedAs"
       from author_book l join authors a on a.id = l.author_id where l.book_id = any($1)
       order by l.position, a.id`,
    );
  }

  /** What to say of an id that isn't in its table: that it was removed, or never there. */
  async missing(kind: 'author' | 'book', id: string): Promise<Problem> {
    const { rows } = await this.pool.query({
      name: 'was-removed',
      text: 'select from removed where id = $1',
      values: [id],
    });
    return rows.length > 0
      ? new Problem(410, `${kind}-removed`, `The ${kind} has been removed.`)
      : new Problem(404, `${kind}-not-found`, `There is no ${kind} with this id.`);
  }

  private byId(name: string, text: string) {
    const load = async (ids: readonly string[]) => {
      const { rows } = await this.pool.query<ResourceRecord>({ name, text, values: [ids] });
      const found = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => found.get(id));
    };
    return batching(load, MAX_KEYS);
  }

  private lists(name: string, text: string) {
    const load = async (owners: readonly string[]) => {
      const { rows } = await this.pool.query<LinkRecord>({ name, text, values: [owners] });
      const lists = new Map(owners.map((owner): [string, LinkRecord[]] => [owner, []]));
      for (const row of rows) lists.get(row.owner)?.push(row);
      return owners.map((owner) => lists.get(owner) ?? []);
    };
    return batching(load, MAX_KEYS);
  }
}

// A page has up to 500 items, whose inclusions are one statement.
const MAX_KEYS = 500;
