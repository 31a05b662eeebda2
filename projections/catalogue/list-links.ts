import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { prepared } from '../../src/postgres/database.js';
import { decodeCursor, keyset, Parameters, toPage, type Order, type Page } from '../page.js';
import { ListPool, ReadModel } from './read-model.js';
import { titleOfLinked, type LinkedAuthor, type LinkedBook, type WaitingAuthor } from './views.js';

interface PageRequest {
  readonly limit: number;
  readonly after?: string | undefined;
}

/** A page of an author's books, by title. */
export class ListBooksOfAuthor extends Query<Page<LinkedBook>> {
  constructor(
    readonly authorId: string,
    readonly page: PageRequest,
  ) {
    super();
  }
}

/** A page of a book's authors. Authors whose links wait count as items of the page, and stand apart. */
export interface PageOfAuthors extends Page<LinkedAuthor> {
  readonly waitingAuthors?: readonly WaitingAuthor[];
}

/** A page of a book's authors, in the book's order. */
export class ListAuthorsOfBook extends Query<PageOfAuthors> {
  constructor(
    readonly bookId: string,
    readonly page: PageRequest,
  ) {
    super();
  }
}

const BY_TITLE: Order = { expression: titleOfLinked, type: 'text', descending: false };
const BY_POSITION: Order = { expression: 'l.position', type: 'integer', descending: false };

@QueryHandler(ListBooksOfAuthor)
export class ListBooksOfAuthorHandler implements IQueryHandler<ListBooksOfAuthor> {
  constructor(
    private readonly lists: ListPool,
    private readonly readModel: ReadModel,
  ) {}

  async execute({ authorId, page: { limit, after } }: ListBooksOfAuthor): Promise<Page<LinkedBook>> {
    const parameters = new Parameters();
    const owner = parameters.add(authorId);
    const cursor = after === undefined ? undefined : decodeCursor('title of author', after);
    const { where, tail } = keyset(BY_TITLE, 'b.id', limit, cursor, parameters);
    // With `offset 0`, the planner does not read all books in their order to find the author's.
    const text = `select b.id, b.title, b.position, b.roles, b."creditedAs", b.title_sort as key
      from (select b.id, b.title, b.title_sort, l.position, l.roles, l.credited_as as "creditedAs"
            from author_book l join books b on b.id = l.book_id where l.author_id = ${owner} offset 0) b
      where ${where} ${tail}`;
    const { rows } = await this.lists.pool.query<LinkedBook & { key: string }>(
      prepared(text, parameters.values),
    );
    if (rows.length === 0 && !(await this.readModel.author.load(authorId)))
      throw await this.readModel.missing('author', authorId);
    return toPage(
      rows,
      limit,
      'title of author',
      (row) => [row.key, row.id],
      ({ key: _, ...book }) => book,
    );
  }
}

@QueryHandler(ListAuthorsOfBook)
export class ListAuthorsOfBookHandler implements IQueryHandler<ListAuthorsOfBook> {
  constructor(
    private readonly lists: ListPool,
    private readonly readModel: ReadModel,
  ) {}

  async execute({ bookId, page: { limit, after } }: ListAuthorsOfBook): Promise<PageOfAuthors> {
    const parameters = new Parameters();
    const owner = parameters.add(bookId);
    const cursor = after === undefined ? undefined : decodeCursor('position of book', after);
    const { where, tail } = keyset(BY_POSITION, 'l.author_id', limit, cursor, parameters);
    const links = (table: string) =>
      `select author_id, position, roles, credited_as from ${table} where book_id = ${owner}`;
    const text = `select l.author_id as id, a.name, l.position, l.roles, l.credited_as as "creditedAs"
      from (${links('author_book')} union all ${links('waiting_links')}) l
      left join authors a on a.id = l.author_id where ${where} ${tail}`;
    const { rows } = await this.lists.pool.query<WaitingAuthor & { name: string | null }>(
      prepared(text, parameters.values),
    );
    if (rows.length === 0 && !(await this.readModel.book.load(bookId)))
      throw await this.readModel.missing('book', bookId);
    const page = toPage(
      rows,
      limit,
      'position of book',
      (row) => [String(row.position), row.id],
      (row) => row,
    );
    const items = page.items.flatMap((row) => (row.name === null ? [] : [{ ...row, name: row.name }]));
    const waitingAuthors = page.items.flatMap(({ name, ...link }) => (name === null ? [link] : []));
    return { items, ...(waitingAuthors.length > 0 && { waitingAuthors }), next: page.next };
  }
}
