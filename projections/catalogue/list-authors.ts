import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { QueryArrayConfig } from 'pg';
import type { Role } from '../../src/books/roles.js';
import type { Json } from '../../src/http/json.js';
import { decodeCursor, Parameters, type Order, type Page } from '../page.js';
import { inRole, linkedTo } from './link-filters.js';
import { listStatement, type Filter } from './list-statement.js';
import { ListPool } from './read-model.js';
import { fromSource } from './source-key.js';
import { SharedPages } from './shared-pages.js';
import { beginsWith, searched, statement, type TextFilter } from './search.js';
import { AUTHOR_JSON, AUTHOR_JSON_WITH_BOOKS, type AuthorView } from './views.js';

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

export class ListAuthors extends Query<Json<Page<AuthorView>>> {
  /** @param caller aborts when the caller leaves. */
  constructor(
    readonly filter: AuthorFilter,
    readonly caller?: AbortSignal,
  ) {
    super();
  }
}

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
  private readonly pages: SharedPages<AuthorView>;

  constructor(lists: ListPool) {
    this.pages = new SharedPages(lists);
  }

  execute({ filter, caller }: ListAuthors): Promise<Json<Page<AuthorView>>> {
    return this.pages.read(filter, caller, statementOf);
  }
}

/** The statement of a page. */
export function statementOf(filter: AuthorFilter): QueryArrayConfig {
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
  const after = filter.after === undefined ? undefined : decodeCursor(sort, filter.after);
  const json = include ? AUTHOR_JSON_WITH_BOOKS : AUTHOR_JSON;
  const order = ORDERS[sort];
  const columns = sort.endsWith('createdAt') ? json : `${json}, ${order.expression}`;
  const list = { table: 'authors a', columns, order, limit, after, filters } as const;
  return { ...statement(listStatement(list, parameters), filter, parameters.values), rowMode: 'array' };
}
