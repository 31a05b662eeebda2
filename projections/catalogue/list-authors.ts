import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Role } from '../../src/books/roles.js';
import { queryFor } from '../../src/postgres/database.js';
import { decodeCursor, Parameters, toPage, type Order, type Page } from '../page.js';
import { inRole, linkedTo } from './link-filters.js';
import { listStatement, type Filter } from './list-statement.js';
import { ListPool } from './read-model.js';
import { fromSource } from './source-key.js';
import { beginsWith, searched, statement, type TextFilter } from './search.js';
import {
  authorColumns,
  booksOfAuthor,
  rfc3339,
  toAuthor,
  type AuthorRecord,
  type AuthorView,
} from './views.js';

export const AUTHOR_SORTS = ['name', '-name', 'createdAt', '-createdAt'] as const;

export interface AuthorFilter extends TextFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly sort: (typeof AUTHOR_SORTS)[number];
  /** Only authors of this book. */
  readonly book?: string | undefined;
  /** Only authors with this role; with `book`, with this role in that book. */
  readonly role?: Role | undefined;
  readonly hasBooks?: boolean | undefined;
  /** Only the authors with this key of their source. */
  readonly key?: string | undefined;
  readonly include?: 'books' | undefined;
}

export class ListAuthors extends Query<Page<AuthorView>> {
  /** @param caller aborts when the caller leaves. */
  constructor(
    readonly filter: AuthorFilter,
    readonly caller?: AbortSignal,
  ) {
    super();
  }
}

type Row = AuthorRecord & { readonly key: string };

const ORDERS: Record<AuthorFilter['sort'], Order> = {
  name: { expression: 'a.name_sort', type: 'text', descending: false },
  '-name': { expression: 'a.name_sort', type: 'text', descending: true },
  createdAt: { expression: 'a.created_at', type: 'timestamptz', descending: false },
  '-createdAt': { expression: 'a.created_at', type: 'timestamptz', descending: true },
};

const authorsWithWords = (words: string): Filter => ({
  condition: words,
  steps: [
    {
      rows: `select a.* from authors a where ${words}`,
      walk: { rows: 'select a.* from authors a', condition: words },
    },
  ],
});

const withBooks = (has: boolean): Filter => ({
  condition: `(select true from author_book l where l.author_id = a.id limit 1) is ${has ? 'not ' : ''}null`,
});

@QueryHandler(ListAuthors)
export class ListAuthorsHandler implements IQueryHandler<ListAuthors> {
  constructor(private readonly lists: ListPool) {}

  async execute({ filter, caller }: ListAuthors): Promise<Page<AuthorView>> {
    const { limit, sort, prefix, book, role, hasBooks, key, include } = filter;
    const parameters = new Parameters();
    const filters: Filter[] = [];
    if (key !== undefined) filters.push(fromSource('authors a', key, parameters));
    if (book !== undefined) filters.push(linkedTo('authors a', book, role, parameters));
    for (const { condition } of searched(filter, 'a.words', parameters))
      filters.push(authorsWithWords(condition));
    if (role !== undefined && book === undefined) filters.push(inRole('authors a', role));
    if (prefix !== undefined)
      filters.push(...beginsWith('authors a', prefix, sort.endsWith('name'), parameters));
    if (hasBooks !== undefined) filters.push(withBooks(hasBooks));
    const text = listStatement(
      {
        table: 'authors a',
        columns: `${authorColumns}${include ? `, ${booksOfAuthor}` : ''}, a.name_sort as key`,
        order: ORDERS[sort],
        limit,
        after: filter.after === undefined ? undefined : decodeCursor(sort, filter.after),
        filters,
      },
      parameters,
    );
    const rows = await queryFor<Row>(caller, this.lists.pool, statement(text, filter, parameters.values));
    return toPage(
      rows,
      limit,
      sort,
      (row) => [sort.endsWith('name') ? row.key : rfc3339(row.created), row.id],
      toAuthor,
    );
  }
}
