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

const ALL = 'select a.* from authors a';

const authorsWithWords = (words: string): Filter => ({
  condition: words,
  steps: [{ rows: `${ALL} where ${words}`, walk: { rows: ALL, condition: words } }],
});

const LINKED = '(select true from author_book l where l.author_id = a.id limit 1)';

/** The ids of authors with books, each found behind the one before: an author may have thousands of links. */
const IDS_WITH_BOOKS = `
  with recursive linked (id) as (
    (select author_id from author_book order by author_id limit 1)
    union all
    select (select author_id from author_book where author_id > linked.id order by author_id limit 1)
    from linked where linked.id is not null
  ) select id from linked where id is not null`;

const WITH_BOOKS: Filter = {
  condition: LINKED,
  steps: [
    { rows: `${ALL} where a.id = any(array(${IDS_WITH_BOOKS}))`, walk: { rows: ALL, condition: LINKED } },
  ],
  counted: IDS_WITH_BOOKS,
  walkedFirst: true,
};

/** All authors without books, with the columns that orders and prefixes use. */
const ALL_WITHOUT_BOOKS = 'select n.author_id as id, n.name_sort, n.created_at from authors_without_books n';

const WITHOUT_BOOKS: Filter = {
  condition: `${LINKED} is null`,
  steps: [{ rows: ALL_WITHOUT_BOOKS }],
  counted: 'select from authors_without_books',
};

/** Among authors without books, those whose words `w.words` fulfil a condition. */
function withoutBooksWithWords(words: string): Filter {
  const condition = `(select ${words} from authors w where w.id = a.id)`;
  const rows = `select w.* from authors w where ${words}`;
  return { condition, steps: [{ rows, walk: { rows: ALL_WITHOUT_BOOKS, condition } }] };
}

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
  const withoutBooks = hasBooks === false;
  const rows = withoutBooks ? ALL_WITHOUT_BOOKS : undefined;
  // Whoever is in a book has books.
  const linked = book !== undefined || role !== undefined;
  if (withoutBooks && linked) filters.push({ condition: 'false' });
  if (key !== undefined) filters.push(fromSource('authors a', key, parameters));
  if (book !== undefined) filters.push(linkedTo('authors a', book, role, parameters));
  const words = searched(filter, withoutBooks ? 'w.words' : 'a.words', parameters);
  for (const { condition } of words)
    filters.push(withoutBooks ? withoutBooksWithWords(condition) : authorsWithWords(condition));
  if (role !== undefined && book === undefined) filters.push(inRole('authors a', role));
  if (prefix !== undefined)
    filters.push(...beginsWith('authors a', prefix, sort.endsWith('name'), parameters, rows));
  // The rows of what is left are those without books.
  if (withoutBooks && !linked && key !== undefined) filters.push({ condition: WITHOUT_BOOKS.condition });
  else if (withoutBooks && !linked && words.length > 0) filters.push(WITHOUT_BOOKS);
  else if (hasBooks && !linked)
    filters.push(filters.some(({ steps }) => steps) ? { condition: LINKED } : WITH_BOOKS);
  const after = filter.after === undefined ? undefined : decodeCursor(sort, filter.after);
  const json = include ? AUTHOR_JSON_WITH_BOOKS : AUTHOR_JSON;
  const order = ORDERS[sort];
  const columns = sort.endsWith('createdAt') ? json : `${json}, ${order.expression}`;
  const list = { table: 'authors a', rows, columns, order, limit, after, filters } as const;
  return { ...statement(listStatement(list, parameters), filter, parameters.values), rowMode: 'array' };
}
