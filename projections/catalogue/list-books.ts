import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { QueryArrayConfig } from 'pg';
import type { Role } from '../../src/books/roles.js';
import type { Json } from '../../src/http/json.js';
import { decodeCursor, Parameters, type Cursor, type Order, type Page } from '../page.js';
import { inRole, linkedTo } from './link-filters.js';
import { listStatement, type Filter } from './list-statement.js';
import { ListPool } from './read-model.js';
import { fromSource } from './source-key.js';
import { SharedPages } from './shared-pages.js';
import { beginsWith, searched, statement, type TextFilter } from './search.js';
import { holds, inZone, walked, ZONES, type Zone } from './zones.js';
import { BOOK_JSON, BOOK_JSON_WITH_AUTHORS, type BookView } from './views.js';

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

export class ListBooks extends Query<Json<Page<BookView>>> {
  /** @param caller aborts when the caller leaves. */
  constructor(
    readonly filter: BookFilter,
    readonly caller?: AbortSignal,
  ) {
    super();
  }
}

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
  private readonly pages: SharedPages<BookView>;

  constructor(lists: ListPool) {
    this.pages = new SharedPages(lists);
  }

  execute({ filter, caller }: ListBooks): Promise<Json<Page<BookView>>> {
    return this.pages.read(filter, caller, statementOf);
  }
}

/** The statement of a page. */
export function statementOf(filter: BookFilter): QueryArrayConfig {
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
  const json = include ? BOOK_JSON_WITH_AUTHORS : BOOK_JSON;
  const order = ORDERS[sort];
  const columns = sort.endsWith('createdAt') ? json : `${json}, ${order.expression}`;
  const list = { table: 'books b', columns, order, limit, after, filters } as const;
  return { ...statement(listStatement(list, parameters), filter, parameters.values), rowMode: 'array' };
}
