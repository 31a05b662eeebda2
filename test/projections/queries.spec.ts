import { Pool } from 'pg';
import { Parameters } from '../../projections/page.js';
import { keyCondition } from '../../projections/catalogue/source-key.js';
import { CatalogueAsOf } from '../../projections/catalogue/catalogue-as-of.js';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { GetAuthor, GetAuthorHandler } from '../../projections/catalogue/get-author.js';
import { GetBook, GetBookHandler } from '../../projections/catalogue/get-book.js';
import { ListAuthors, ListAuthorsHandler } from '../../projections/catalogue/list-authors.js';
import { ListBooks, ListBooksHandler } from '../../projections/catalogue/list-books.js';
import {
  ListAuthorsOfBook,
  ListAuthorsOfBookHandler,
  ListBooksOfAuthor,
  ListBooksOfAuthorHandler,
} from '../../projections/catalogue/list-links.js';
import { ReadModel } from '../../projections/catalogue/read-model.js';
import { Projector } from '../../projections/projector.js';
import { bookStream } from '../../src/books/book.events.js';
import { authorStream } from '../../src/authors/author.events.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { newEvent } from '../support/events.js';

const id = (n: number) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
const COUNT = 600;

let database: TestDatabase;
let pool: Pool;
const statements: string[] = [];
beforeAll(async () => {
  database = await createDatabase();
  pool = new Pool({ connectionString: database.url, options: '-c search_path=catalogue,public' });
  const store = new MemoryEventStore();
  for (let n = 0; n < COUNT; n += 1) {
    await store.append(authorStream(id(n)), 'no-stream', [newEvent('AuthorAdded', { name: `Author ${n}` })]);
    await store.append(
      bookStream(id(n)),
      'no-stream',
      [
        newEvent('BookAdded', { title: `Book ${n}` }),
        newEvent('BookLinked', { authorId: id(n), position: 1, roles: ['author'], creditedAs: null }),
        newEvent('BookLinked', {
          authorId: id(n && n - 1),
          position: 2,
          roles: ['editor'],
          creditedAs: null,
        }),
      ].slice(0, n === 0 ? 2 : 3),
    );
  }
  const projector = new Projector(catalogue, store, pool, { connectionString: database.url });
  await projector.start();
  const head = await store.head();
  expect(head !== undefined && (await projector.reached(head, 30_000))).toBe(true);
  await projector.close();
  await sql(database.url, 'analyze');
  const query = pool.query.bind(pool);
  const counted = (...args: unknown[]) => {
    const [first] = args as [string | { text: string }];
    statements.push(typeof first === 'string' ? first : first.text);
    return Reflect.apply(query, pool, args) as unknown;
  };
  Object.assign(pool, { query: counted });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const handlers = () => {
  const readModel = new ReadModel({ pool });
  const past = new CatalogueAsOf(new MemoryEventStore());
  return {
    listAuthors: new ListAuthorsHandler({ pool }),
    listBooks: new ListBooksHandler({ pool }),
    getAuthor: new GetAuthorHandler(readModel, past),
    getBook: new GetBookHandler(readModel, past),
    booksOf: new ListBooksOfAuthorHandler({ pool }, readModel),
    authorsOf: new ListAuthorsOfBookHandler({ pool }, readModel),
  };
};

test('a page of any size, with all it includes, costs at most two statements', async () => {
  const { listAuthors, listBooks, getAuthor, getBook, booksOf, authorsOf } = handlers();
  const cost = async (work: () => Promise<unknown>) => {
    statements.length = 0;
    await work();
    return statements.length;
  };
  const filters = { search: 'o', role: 'author', hasBooks: true } as const;
  for (const limit of [1, 50, 500]) {
    const authors = new ListAuthors({ limit, sort: 'name', include: 'books', ...filters });
    expect(await cost(() => listAuthors.execute(authors))).toBeLessThanOrEqual(2);
    const books = new ListBooks({
      limit,
      sort: '-createdAt',
      include: 'authors',
      search: 'b',
      role: 'author',
    });
    expect(await cost(() => listBooks.execute(books))).toBeLessThanOrEqual(2);
    expect(await cost(() => listBooks.execute(new ListBooks({ limit, sort: 'title' })))).toBe(1);
    expect(await cost(() => booksOf.execute(new ListBooksOfAuthor(id(1), { limit })))).toBe(1);
    expect(await cost(() => authorsOf.execute(new ListAuthorsOfBook(id(1), { limit })))).toBe(1);
  }
  expect(await cost(() => getAuthor.execute(new GetAuthor(id(1), true)))).toBe(1);
  expect(await cost(() => getBook.execute(new GetBook(id(1), true)))).toBe(1);
});

test('requests that come together share their statements', async () => {
  const { getAuthor } = handlers();
  statements.length = 0;
  const authors = await Promise.all(
    Array.from({ length: 64 }, (_, n) => getAuthor.execute(new GetAuthor(id(n), true))),
  );
  expect(authors.map((author) => author.id)).toEqual(Array.from({ length: 64 }, (_, n) => id(n)));
  expect(statements).toHaveLength(1);
});

test.each([
  [
    'a substring of a name',
    `select from authors a where a.name_search like '%uthor 59%'`,
    'authors_name_trigrams',
  ],
  [
    'a substring of a title',
    `select from books b where b.title_search like '%ook 59%'`,
    'books_title_trigrams',
  ],
  [
    'the start of a name',
    `select from authors a where left(a.name_search, 200) collate "C" like 'author 59%'`,
    'authors_by_name',
  ],
  [
    'a page in order of title',
    `select from books b where (left(b.title_sort, 200) collate "C", b.id) > ('book 5', '${id(0)}')
     order by left(b.title_sort, 200) collate "C", b.id limit 50`,
    'books_by_title',
  ],
  ['books by the key of their source', `select from books b where b.source_key = 'k'`, 'books_by_source'],
  [
    'authors by the key of their source',
    `select from authors a where a.source_key = 'k'`,
    'authors_by_source',
  ],
  ['an author’s books', `select from author_book l where l.author_id = '${id(1)}'`, 'author_book_pkey'],
  [
    'a book’s authors',
    `select from author_book l where l.book_id = '${id(1)}' order by position`,
    'author_book_by_book',
  ],
  ['who has a role', `select from author_book l where l.roles @> array['narrator']`, 'author_book_by_role'],
])('%s is found by an index', async (_, text, index) => {
  // So small a table is read whole by choice; whether the index can serve is what counts.
  const plan = await sql<{ 'QUERY PLAN': string }>(
    database.url,
    'set search_path to catalogue, public',
    'set enable_seqscan = off',
    'set enable_sort = off',
    `explain ${text}`,
  );
  expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toContain(index);
});

test('a book with a key is found by the indexes of keys and ids, in whatever order the list is', async () => {
  const parameters = new Parameters();
  const condition = keyCondition('books', 'book', 'k', parameters);
  const text = parameters.values.reduce<string>(
    (found, value, index) => found.replace(`$${index + 1}`, `'${String(value)}'`),
    `explain select from books b where ${condition} order by left(b.title_sort, 200) collate "C", b.id limit 50`,
  );
  const plan = await sql<{ 'QUERY PLAN': string }>(
    database.url,
    'set search_path to catalogue, public',
    'set enable_seqscan = off',
    text,
  );
  const shown = plan.map((row) => row['QUERY PLAN']).join('\n');
  for (const index of ['books_pkey', 'books_by_source']) expect(shown).toContain(index);
});

test('pages of books and authors in a role are the same, whether few or many links have the role', async () => {
  // 12,000 links in one role, 20 in another, and none in a third.
  await sql(
    database.url,
    'set search_path to catalogue, public',
    `insert into authors (id, name, name_search, revision, created_at, updated_at)
     select ('10000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'N ' || n, 'n ' || n, 0, now(), now()
     from generate_series(1, 20) n`,
    `insert into author_book (author_id, book_id, position, roles, linked_at, linked_by, event_id)
     select a.id, b.id, 3, case when b.title in ('Book 7', 'Book 70') and a.name < 'N 15' then '{narrator,contributor}'::text[] else '{contributor}' end,
            now(), 'test', gen_random_uuid()
     from authors a, books b where a.name like 'N %'`,
  );
  const { listAuthors, listBooks } = handlers();
  for (const role of ['contributor', 'narrator', 'afterword', 'editor'] as const) {
    const expected = async (text: string) =>
      (await sql<{ id: string }>(database.url, 'set search_path to catalogue, public', text)).map(
        (row) => row.id,
      );
    const inRole = (link: string) =>
      `exists (select from author_book l where ${link} and '${role}' = any(l.roles))`;
    const books = await expected(
      `select b.id from books b where ${inRole('l.book_id = b.id')} order by title_search collate "C", id`,
    );
    const authors = await expected(
      `select a.id from authors a where ${inRole('l.author_id = a.id')} order by name_search collate "C" desc, id desc`,
    );
    const found: { books: string[]; authors: string[] } = { books: [], authors: [] };
    for (let after: string | undefined, more = true; more;) {
      const page = await listBooks.execute(new ListBooks({ limit: 130, sort: 'title', role, after }));
      found.books.push(...page.items.map((book) => book.id));
      more = page.next !== null;
      after = page.next ?? undefined;
    }
    for (let after: string | undefined, more = true; more;) {
      const page = await listAuthors.execute(new ListAuthors({ limit: 130, sort: '-name', role, after }));
      found.authors.push(...page.items.map((author) => author.id));
      more = page.next !== null;
      after = page.next ?? undefined;
    }
    expect({ role, ...found }).toEqual({ role, books, authors });
  }
});
