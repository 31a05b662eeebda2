import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Role } from '../../src/books/roles.js';
import { prepared, queryFor } from '../../src/postgres/database.js';
import { decodeCursor, keyset, Parameters, toPage, type Order, type Page } from '../page.js';
import { inRole, pageByLinks } from './page-by-links.js';
import { ListPool } from './read-model.js';
import { textConditions, type TextFilter } from './search.js';
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
  name: { expression: 'left(a.name_search, 200)', type: 'text', descending: false },
  '-name': { expression: 'left(a.name_search, 200)', type: 'text', descending: true },
  createdAt: { expression: 'a.created_at', type: 'timestamptz', descending: false },
  '-createdAt': { expression: 'a.created_at', type: 'timestamptz', descending: true },
};

@QueryHandler(ListAuthors)
export class ListAuthorsHandler implements IQueryHandler<ListAuthors> {
  constructor(private readonly lists: ListPool) {}

  async execute({ filter, caller }: ListAuthors): Promise<Page<AuthorView>> {
    const { limit, sort, book, role, hasBooks, include } = filter;
    const parameters = new Parameters();
    const conditions = textConditions('a.name_search', filter, parameters);
    if (hasBooks !== undefined)
      conditions.push(`${hasBooks ? '' : 'not '}exists (select from author_book l where l.author_id = a.id)`);
    const linked =
      book &&
      [
        `l.book_id = ${parameters.add(book)}`,
        ...(role ? [`${parameters.add(role)} = any(l.roles)`] : []),
      ].join(' and ');
    const after = filter.after === undefined ? undefined : decodeCursor(sort, filter.after);
    const { where, tail } = keyset(ORDERS[sort], 'a.id', limit, after, parameters);
    const included = include ? `, ${booksOfAuthor}` : '';
    const page = (source: string, ...more: string[]) =>
      `select ${authorColumns}${included}, left(a.name_search, 200) as key
       from ${source} where ${[...more, ...conditions, where].join(' and ')} ${tail}`;
    const { values } = parameters;
    const byLinks = (kind: string) => pageByLinks('authors a', 'author_id', kind, page);
    const query =
      linked !== undefined
        ? prepared(byLinks(linked), values)
        : role !== undefined
          ? { text: byLinks(inRole(role)), values }
          : prepared(page('authors a'), values);
    const rows = await queryFor<Row>(caller, this.lists.pool, query);
    return toPage(
      rows,
      limit,
      sort,
      (row) => [sort.endsWith('name') ? row.key : rfc3339(row.created), row.id],
      toAuthor,
    );
  }
}
