import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Role } from '../../src/books/roles.js';
import { queryFor } from '../../src/postgres/database.js';
import { decodeCursor, Parameters, toPage, type Cursor, type Order, type Page } from '../page.js';
import { inRole, linkedTo } from './link-filters.js';
import { listStatement, type Filter } from './list-statement.js';
import { ListPool } from './read-model.js';
import { fromSource } from './source-key.js';
import { beginsWith, searched, statement, type TextFilter } from './search.js';
import { holds, inZone, walked, ZONES, type Zone } from './zones.js';
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
  /** Only the books with this key of their source. */
  readonly key?: string | undefined;
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
  title: { expression: 'b.title_sort', type: 'text', descending: false },
  '-title': { expression: 'b.title_sort', type: 'text', descending: true },
  createdAt: { expression: 'b.created_at', type: 'timestamptz', descending: false },
  '-createdAt': { expression: 'b.created_at', type: 'timestamptz', descending: true },
};

/**
 * Books whose words fulfil a condition. Books have zones by their titles, each with indexes of its own. Words are frequent
 * in the zone of their script, or everywhere. In order of title the zones stand one after the other.
 * @param home a title that begins with a letter of the search.
 */
function booksWithWords(
  words: string,
  home: string,
  sort: BookFilter['sort'],
  after: Cursor | undefined,
): Filter {
  const condition = `(select ${words} from book_words w where w.book_id = b.id)`;
  const rowsOf = (zone: Zone, which: string) =>
    `select w.book_id as id, w.title_sort, w.created_at, w.words from book_words w where ${which} and ${inZone('w.title_sort', zone)}`;
  if (!sort.endsWith('title')) {
    const fulfilled = `(select ${words} from (select b.words) w)`;
    const steps = ZONES.map((zone) => ({
      rows: rowsOf(zone, words),
      walk: { rows: rowsOf(zone, walked('w.created_at')), condition: fulfilled },
    }));
    return { condition, steps };
  }
  const zones = sort === 'title' ? ZONES : ZONES.toReversed();
  const first = after === undefined ? 0 : zones.findIndex((zone) => holds(zone, after[0]));
  const steps = zones.slice(first).map((zone) => ({
    rows: rowsOf(zone, words),
    range: inZone('b.title_sort', zone),
    ...(holds(zone, home) && { walk: { rows: 'select b.* from books b', condition } }),
  }));
  return { condition, steps };
}

@QueryHandler(ListBooks)
export class ListBooksHandler implements IQueryHandler<ListBooks> {
  constructor(private readonly lists: ListPool) {}

  async execute({ filter, caller }: ListBooks): Promise<Page<BookView>> {
    const { limit, sort, prefix, author, role, key, include } = filter;
    const parameters = new Parameters();
    const filters: Filter[] = [];
    if (key !== undefined) filters.push(fromSource('books b', key, parameters));
    if (author !== undefined) filters.push(linkedTo('books b', author, role, parameters));
    const after = filter.after === undefined ? undefined : decodeCursor(sort, filter.after);
    for (const { condition, home } of searched(filter, 'w.words', parameters))
      filters.push(booksWithWords(condition, home, sort, after));
    if (role !== undefined && author === undefined) filters.push(inRole('books b', role));
    if (prefix !== undefined)
      filters.push(...beginsWith('books b', prefix, sort.endsWith('title'), parameters));
    const text = listStatement(
      {
        table: 'books b',
        columns: `${bookColumns}${include ? `, ${authorsOfBook}` : ''}, b.title_sort as key`,
        order: ORDERS[sort],
        limit,
        after,
        filters,
      },
      parameters,
    );
    const rows = await queryFor<Row>(caller, this.lists.pool, statement(text, filter, parameters.values));
    return toPage(
      rows,
      limit,
      sort,
      (row) => [sort.endsWith('title') ? row.key : rfc3339(row.created), row.id],
      toBook,
    );
  }
}
