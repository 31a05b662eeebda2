import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Role } from '../../src/books/roles.js';
import { prepared, queryFor } from '../../src/postgres/database.js';
import { decodeCursor, keyset, Parameters, toPage, type Order, type Page } from '../page.js';
import { inRole, pageByLinks } from './page-by-links.js';
import { ListPool } from './read-model.js';
import { textConditions, type TextFilter } from './search.js';
import { bookColumns, authorsOfBook, rfc3339, toBook, type BookRecord, type BookView } from './views.js';

export const BOOK_SORTS = ['title', '-title', 'createdAt', '-createdAt'] as const;

export interface BookFilter extends TextFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly sort: (typeof BOOK_SORTS)[number];
  /** Only books of this author. */
  readonly author?: string | undefined;
  /** Only books that have an author in this role; with `author`, that author in this role. */
  readonly role?: Role | undefined;
  readonly include?: 'authors' | undefined;
}

export class ListBooks extends Query<Page<BookView>> {
  /** @param caller aborts when the caller leaves. */
  constructor(
    readonly filter: BookFilter,
    readonly caller?: AbortSignal,
  ) {
    super();
  }
}

type Row = BookRecord & { readonly key: string };

const ORDERS: Record<BookFilter['sort'], Order> = {
  title: { expression: 'left(b.title_search, 200)', type: 'text', descending: false },
  '-title': { expression: 'left(b.title_search, 200)', type: 'text', descending: true },
  createdAt: { expression: 'b.created_at', type: 'timestamptz', descending: false },
  '-createdAt': { expression: 'b.created_at', type: 'timestamptz', descending: true },
};

@QueryHandler(ListBooks)
export class ListBooksHandler implements IQueryHandler<ListBooks> {
  constructor(private readonly lists: ListPool) {}

  async execute({ filter, caller }: ListBooks): Promise<Page<BookView>> {
    const { limit, sort, author, role, include } = filter;
    const parameters = new Parameters();
    const conditions = textConditions('b.title_search', filter, parameters);
    const linked =
      author &&
      [
        `l.author_id = ${parameters.add(author)}`,
        ...(role ? [`${parameters.add(role)} = any(l.roles)`] : []),
      ].join(' and ');
    const after = filter.after === undefined ? undefined : decodeCursor(sort, filter.after);
    const { where, tail } = keyset(ORDERS[sort], 'b.id', limit, after, parameters);
    const included = include ? `, ${authorsOfBook}` : '';
    const page = (source: string, ...more: string[]) =>
      `select ${bookColumns}${included}, left(b.title_search, 200) as key
       from ${source} where ${[...more, ...conditions, where].join(' and ')} ${tail}`;
    const { values } = parameters;
    const byLinks = (kind: string) => pageByLinks('books b', 'book_id', kind, page);
    const query =
      linked !== undefined
        ? prepared(byLinks(linked), values)
        : role !== undefined
          ? { text: byLinks(inRole(role)), values }
          : prepared(page('books b'), values);
    const rows = await queryFor<Row>(caller, this.lists.pool, query);
    return toPage(
      rows,
      limit,
      sort,
      (row) => [sort.endsWith('title') ? row.key : rfc3339(row.created), row.id],
      toBook,
    );
  }
}
