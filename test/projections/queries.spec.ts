import { escapeLiteral, Pool } from 'pg';
import { CatalogueAsOf } from '../../projections/catalogue/catalogue-as-of.js';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { GetAuthor, GetAuthorHandler } from '../../projections/catalogue/get-author.js';
import { GetBook, GetBookHandler } from '../../projections/catalogue/get-book.js';
import {
  ListAuthors,
  ListAuthorsHandler,
  type AuthorFilter,
} from '../../projections/catalogue/list-authors.js';
import { ListBooks, ListBooksHandler, type BookFilter } from '../../projections/catalogue/list-books.js';
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
import { createPool } from '../../src/postgres/database.js';
import { POOLS } from '../../src/postgres/pools.js';
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
  const query = pool.query.bind(pool);
  const counted = (...args: unknown[]) => {
    const [first] = args as [string | { text: string }];
    statements.push(typeof first === 'string' ? first : first.text);
    return Reflect.apply(query, undefined, args) as unknown;
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
  expect(authors.map(({ json }) => json.parse().id)).toEqual(Array.from({ length: 64 }, (_, n) => id(n)));
  expect(statements).toHaveLength(1);
});

test('the same list asked for at the same time is one statement, but never one from before a write that was seen', async () => {
  const query = pool.query.bind(pool);
  const { listAuthors } = handlers();
  const list = () => listAuthors.execute(new ListAuthors({ limit: 1, sort: '-name' }));
  const nameOf = (found: Awaited<ReturnType<typeof list>>) => found.parse().items[0]?.name;
  // The server has answered, and the answer is on its way.
  let answered: () => void;
  let arrive: () => void = () => undefined;
  const onItsWay = new Promise<void>((resolve) => (answered = resolve));
  const arrival = new Promise<void>((resolve) => (arrive = resolve));
  const slow = async (...args: unknown[]) => {
    const result: unknown = await Reflect.apply(query, undefined, args);
    answered();
    await arrival;
    return result;
  };
  statements.length = 0;
  Object.assign(pool, { query: slow });
  const first = [list(), list()];
  await onItsWay;
  Object.assign(pool, { query });
  await sql(
    database.url,
    `insert into catalogue.authors (id, name, name_sort, words, revision, created_at, updated_at)
     values ('${id(COUNT)}', 'Z', 'z', ' z', 0, now(), now())`,
  );
  const second = [list(), list(), list()];
  arrive();
  expect((await Promise.all(first)).map(nameOf)).toEqual(['Author 99', 'Author 99']);
  expect((await Promise.all(second)).map(nameOf)).toEqual(['Z', 'Z', 'Z']);
  expect(statements).toHaveLength(2);
  await sql(database.url, `delete from catalogue.authors where id = '${id(COUNT)}'`);
});

test.each([
  [
    'a word of a name',
    `select from authors a where a.words like '%uthor%' and a.words like '% 59%'`,
    'authors_by_words',
  ],
  [
    'a word of a title',
    `select from book_words w where w.words like '%ook%' and w.words like '% 59%' and w.title_sort < '\u0250'`,
    'book_words_by_words',
  ],
  ['the start of a name', `select from authors a where a.name_sort like 'author 59%'`, 'authors_by_name'],
  [
    'a page in order of title',
    `select from books b where (b.title_sort, b.id) > ('book 5', '${id(0)}') order by b.title_sort, b.id limit 50`,
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

/** The nodes of a plan, each with its parent. A result only says whether the node below is needed at all. */
interface Node {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly Plans?: readonly Node[];
}
function* nodesOf(node: Node, parent?: Node): Iterable<readonly [Node, Node | undefined]> {
  yield [node, parent];
  for (const child of node.Plans ?? []) yield* nodesOf(child, node['Node Type'] === 'Result' ? parent : node);
}

const CURSOR = (sort: string) => {
  const value = sort.endsWith('createdAt') ? new Date(0).toISOString() : 'b';
  return Buffer.from(JSON.stringify([sort, value, id(0)])).toString('base64url');
};
const PLANS: [
  string,
  (list: Lists, sort: 'own' | '-own' | 'createdAt', after: boolean) => Promise<unknown>,
  RegExp,
][] = [
  [
    'books by the key of their source',
    (lists, sort, after) => lists.books({ key: 'k' }, sort, after),
    /books_by_source/,
  ],
  [
    'authors by the key of their source',
    (lists, sort, after) => lists.authors({ key: 'k' }, sort, after),
    /authors_by_source/,
  ],
  [
    'search of books',
    (lists, sort, after) => lists.books({ search: 'ook 59' }, sort, after),
    /book_words_by_words/,
  ],
  [
    'a letter of books',
    (lists, sort, after) => lists.books({ search: 'x' }, sort, after),
    /book_words_by_words/,
  ],
  [
    'search of authors',
    (lists, sort, after) => lists.authors({ search: 'uthor 59' }, sort, after),
    /authors_by_words/,
  ],
  [
    'start of titles',
    (lists, sort, after) => lists.books({ prefix: 'book 5' }, sort, after),
    /books_by_title/,
  ],
  [
    'start of names',
    (lists, sort, after) => lists.authors({ prefix: 'author 5' }, sort, after),
    /authors_by_name/,
  ],
  [
    'search and start',
    (lists, sort, after) => lists.books({ prefix: 'b', search: '5' }, sort, after),
    /book_words_by_words/,
  ],
  [
    'punctuation that titles begin with',
    (lists, sort, after) => lists.books({ prefix: '¿' }, sort, after),
    /book_words_by_words/,
  ],
  [
    'punctuation that names begin with',
    (lists, sort, after) => lists.authors({ prefix: '¿' }, sort, after),
    /authors_by_words/,
  ],
  [
    'search of an author’s books',
    (lists, sort, after) => lists.books({ author: id(1), search: '5' }, sort, after),
    /author_book_pkey/,
  ],
  [
    'an author’s books in a role',
    (lists, sort, after) => lists.books({ author: id(1), role: 'editor' }, sort, after),
    /author_book_pkey/,
  ],
  [
    'search of a book’s authors',
    (lists, sort, after) => lists.authors({ book: id(1), search: '5' }, sort, after),
    /author_book_by_book/,
  ],
  [
    'search of books in a role',
    (lists, sort, after) => lists.books({ role: 'narrator', search: '5' }, sort, after),
    /book_words_by_words/,
  ],
  [
    'books in a role',
    (lists, sort, after) => lists.books({ role: 'narrator' }, sort, after),
    /author_book_by_role/,
  ],
  ['all books', (lists, sort, after) => lists.books({}, sort, after), /books_by_(title|creation)/],
  ['all authors', (lists, sort, after) => lists.authors({}, sort, after), /authors_by_(name|creation)/],
  [
    'an author’s books',
    (lists, sort, after) => lists.books({ author: id(1) }, sort, after),
    /author_book_pkey/,
  ],
  [
    'an author’s books by their start',
    (lists, sort, after) => lists.books({ author: id(1), prefix: 'b' }, sort, after),
    /author_book_pkey/,
  ],
  [
    'search of an author’s books in a role',
    (lists, sort, after) => lists.books({ author: id(1), role: 'editor', search: '5' }, sort, after),
    /author_book_pkey/,
  ],
  [
    'an author’s books by the key of their source',
    (lists, sort, after) => lists.books({ author: id(1), key: 'k' }, sort, after),
    /books_by_source/,
  ],
  [
    'books in a role by their start',
    (lists, sort, after) => lists.books({ role: 'narrator', prefix: 'b' }, sort, after),
    /author_book_by_role/,
  ],
  [
    'a book’s authors',
    (lists, sort, after) => lists.authors({ book: id(1) }, sort, after),
    /author_book_by_book/,
  ],
  [
    'a book’s authors in a role',
    (lists, sort, after) => lists.authors({ book: id(1), role: 'editor' }, sort, after),
    /author_book_by_book/,
  ],
  [
    'authors in a role',
    (lists, sort, after) => lists.authors({ role: 'narrator' }, sort, after),
    /author_book_by_role/,
  ],
  [
    'search of authors in a role',
    (lists, sort, after) => lists.authors({ role: 'narrator', search: '5' }, sort, after),
    /authors_by_words/,
  ],
  [
    'authors with books',
    (lists, sort, after) => lists.authors({ hasBooks: true }, sort, after),
    /authors_by_(name|creation)/,
  ],
  [
    'authors without books',
    (lists, sort, after) => lists.authors({ hasBooks: false }, sort, after),
    /authors_without_books_by_(name|creation)/,
  ],
  [
    'authors without books by their start',
    (lists, sort, after) => lists.authors({ hasBooks: false, prefix: 'author 5' }, sort, after),
    /authors_without_books_by_name/,
  ],
  [
    'authors with books by their start',
    (lists, sort, after) => lists.authors({ hasBooks: true, prefix: 'author 5' }, sort, after),
    /authors_by_name/,
  ],
  [
    'an author without books by the key of the source',
    (lists, sort, after) => lists.authors({ hasBooks: false, key: 'k' }, sort, after),
    /authors_by_source/,
  ],
  [
    'search of authors without books',
    (lists, sort, after) => lists.authors({ hasBooks: false, search: '5' }, sort, after),
    /authors_without_books_by_.*authors_by_words/,
  ],
  [
    'search of authors with books',
    (lists, sort, after) => lists.authors({ hasBooks: true, search: '5' }, sort, after),
    /authors_by_words/,
  ],
];
type Lists = ReturnType<typeof listsOn>;
function listsOn(listPool: Pool) {
  const rest = (sort: string, after: boolean, own: string, limit = 50) => {
    const by = sort.replace('own', own);
    return { limit, sort: by as never, ...(after && { after: CURSOR(by) }) };
  };
  return {
    books: (filter: Partial<BookFilter>, sort: string, after: boolean) =>
      new ListBooksHandler({ pool: listPool }).execute(
        new ListBooks({ ...rest(sort, after, 'title'), include: 'authors', ...filter }),
      ),
    authors: (filter: Partial<AuthorFilter>, sort: string, after: boolean) =>
      new ListAuthorsHandler({ pool: listPool }).execute(
        new ListAuthors({ ...rest(sort, after, 'name'), include: 'books', ...filter }),
      ),
  };
}

describe.each(['without', 'with'])('%s statistics', (statistics) => {
  let lists: Pool;
  const plans: Node[] = [];
  beforeAll(async () => {
    if (statistics === 'with') await sql(database.url, 'analyze');
    lists = createPool(database.url, { ...POOLS.lists, searchPath: 'catalogue,public' });
    const query = lists.query.bind(lists);
    const planOf = ({ rows }: { rows: object[] }) =>
      (rows[0] as { 'QUERY PLAN': [{ Plan: Node }] })['QUERY PLAN'][0].Plan;
    const explaining = async (config: { name?: string; text: string; values: (string | number)[] }) => {
      const { name, text, values } = config;
      plans.push(planOf(await query({ text: `explain (format json) ${text}`, values })));
      // A statement that the server keeps gets a plan for any values as soon as that seems to cost as little.
      if (name !== undefined) {
        const execute =
          values.length > 0 ? `p(${values.map((each) => escapeLiteral(`${each}`)).join()})` : 'p';
        const results = await query(
          `set plan_cache_mode = force_generic_plan; prepare p as ${text}; explain (format json) execute ${execute};
           deallocate p; reset plan_cache_mode`,
        );
        plans.push(planOf((results as unknown as { rows: object[] }[])[2] ?? { rows: [] }));
      }
      return query(config);
    };
    Object.assign(lists, { query: explaining });
  });
  afterAll(() => lists.end());

  test.each(PLANS)(
    '%s: an index gives the rows, and no table or index is read whole',
    async (_, ask, index) => {
      for (const sort of ['own', '-own', 'createdAt'] as const)
        for (const after of [false, true]) {
          plans.length = 0;
          await ask(listsOn(lists), sort, after);
          expect(plans).not.toHaveLength(0);
          for (const plan of plans) {
            expect(JSON.stringify(plan)).toMatch(index);
            for (const [node, parent] of nodesOf(plan)) {
              expect(node['Node Type']).not.toBe('Seq Scan');
              // Only a walk, which its limit ends, reads an index without looking for anything.
              if (node['Index Name'] && !node['Index Cond']) expect(parent?.['Node Type']).toBe('Limit');
            }
          }
        }
    },
  );
});

test('pages of books and authors in a role are the same, whether few or many links have the role', async () => {
  // 12,000 links in one role, 20 in another, and none in a third.
  await sql(
    database.url,
    'set search_path to catalogue, public',
    `insert into authors (id, name, name_sort, words, revision, created_at, updated_at)
     select ('10000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'N ' || n, 'n ' || n, ' n ' || n, 0, now(), now()
     from generate_series(1, 20) n`,
    `insert into author_book (author_id, book_id, position, roles, linked_at, linked_by, event_id)
     select a.id, b.id, 3, case when b.title in ('Book 7', 'Book 70') and a.name < 'N 15' then '{narrator,contributor}'::text[] else '{contributor}' end,
            now(), 'test', gen_random_uuid()
     from authors a, books b where a.name like 'N %'`,
  );
  const { listAuthors, listBooks } = handlers();
  for (const [role, search] of [
    ['contributor', undefined],
    ['contributor', 'book 59'],
    ['narrator', undefined],
    ['narrator', '7'],
    ['afterword', undefined],
    ['editor', undefined],
    ['editor', '3'],
  ] as const) {
    const expected = async (text: string) =>
      (await sql<{ id: string }>(database.url, 'set search_path to catalogue, public', text)).map(
        (row) => row.id,
      );
    const inRole = (link: string) =>
      `exists (select from author_book l where ${link} and '${role}' = any(l.roles))`;
    const withWords = (words: string) =>
      (search?.split(' ') ?? []).map((word) => `${words} like '% ${word}%'`).join(' and ') || 'true';
    const books = await expected(
      `select b.id from books b where ${inRole('l.book_id = b.id')} and ${withWords('(select words from book_words where book_id = b.id)')}
       order by title_sort, id`,
    );
    const authors = await expected(
      `select a.id from authors a where ${inRole('l.author_id = a.id')} and ${withWords('a.words')}
       order by name_sort desc, id desc`,
    );
    const found: { books: string[]; authors: string[] } = { books: [], authors: [] };
    for (let after: string | undefined, more = true; more;) {
      const list = new ListBooks({ limit: 130, sort: 'title', role, search, after });
      const page = (await listBooks.execute(list)).parse();
      found.books.push(...page.items.map((book) => book.id));
      more = page.next !== null;
      after = page.next ?? undefined;
    }
    for (let after: string | undefined, more = true; more;) {
      const list = new ListAuthors({ limit: 130, sort: '-name', role, search, after });
      const page = (await listAuthors.execute(list)).parse();
      found.authors.push(...page.items.map((author) => author.id));
      more = page.next !== null;
      after = page.next ?? undefined;
    }
    expect({ role, search, ...found }).toEqual({ role, search, books, authors });
  }
});

test('pages of authors without books are the same, whether few or many have none, and so are those with books', async () => {
  const expected = async (which: string, order: string) =>
    (
      await sql<{ id: string }>(
        database.url,
        'set search_path to catalogue, public',
        `select a.id from authors a where ${which} order by ${order}, id`,
      )
    ).map((row) => row.id);
  const withBooks = 'a.id in (select author_id from author_book)';
  const { listAuthors } = handlers();
  const check = async (filter: Partial<AuthorFilter>, condition: string) => {
    for (const sort of ['name', 'createdAt'] as const) {
      const found: string[] = [];
      for (let after: string | undefined, more = true; more;) {
        const list = new ListAuthors({ limit: 130, sort, ...filter, after });
        const page = (await listAuthors.execute(list)).parse();
        found.push(...page.items.map((author) => author.id));
        more = page.next !== null;
        after = page.next ?? undefined;
      }
      const order = sort === 'name' ? 'name_sort' : 'created_at';
      expect({ filter, sort, found }).toEqual({ filter, sort, found: await expected(condition, order) });
    }
  };
  for (const [count, first] of [
    [20, 1],
    [5_000, 21],
  ]) {
    // Those of 1 to 50 are called otherwise, and those with the highest numbers came first.
    await sql(
      database.url,
      'set search_path to catalogue, public',
      `insert into authors (id, name, name_sort, words, revision, created_at, updated_at)
       select ('30000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, w || ' ' || n, w || ' ' || n, ' ' || w || ' ' || n,
              0, '2020-01-01'::timestamptz - n * interval '1 second', now()
       from generate_series(${first}, ${count}) n, lateral (select case when n <= 50 then 'rare' else 'solo' end as w) words`,
      `insert into authors_without_books select id, name_sort, created_at from authors where id::text like '3%'
       on conflict do nothing`,
    );
    await check({ hasBooks: false }, `not ${withBooks}`);
    await check({ hasBooks: false, prefix: 'solo 4' }, `not ${withBooks} and name_sort like 'solo 4%'`);
    await check({ hasBooks: false, search: 'rare' }, `not ${withBooks} and words like ' rare%'`);
    await check({ hasBooks: false, search: 'solo 49' }, `not ${withBooks} and words like ' solo 49%'`);
    await check({ hasBooks: false, role: 'author' }, 'false');
    await check({ hasBooks: true }, withBooks);
    await check({ hasBooks: true, search: '59' }, `${withBooks} and words like '% 59%'`);
  }
});

test('without statistics too, an author’s books are found by their links, not by walking through all titles', async () => {
  // As after an import: PostgreSQL gathers statistics a minute later.
  await sql(
    database.url,
    'set search_path to catalogue, public',
    `insert into books (id, title, title_sort, revision, created_at, updated_at)
     select ('20000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'B ' || n, 'b ' || n, 0, now(), now()
     from generate_series(1, 20000) n`,
    `insert into author_book (author_id, book_id, position, roles, linked_at, linked_by, event_id)
     select a.id, ('20000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 1, '{author}', now(), 'test', gen_random_uuid()
     from generate_series(1, 20000) n join (select id, row_number() over () as k from authors limit 20) a on a.k = n % 20 + 1`,
    `delete from pg_statistic where starelid in (select oid from pg_class where relnamespace::regnamespace::text ~ '^catalogue')`,
  );
  const { listAuthors, getAuthor, booksOf } = handlers();
  statements.length = 0;
  await booksOf.execute(new ListBooksOfAuthor(id(1), { limit: 50 }));
  await getAuthor.execute(new GetAuthor(id(1), true));
  await listAuthors.execute(new ListAuthors({ limit: 50, sort: 'name', include: 'books' }));
  expect(statements).toHaveLength(3);
  const values = [[id(1)], [[id(1)]], []];
  const explaining = createPool(database.url, { searchPath: 'catalogue,public' });
  for (const [n, text] of statements.entries()) {
    const { rows } = await explaining.query<{ 'QUERY PLAN': string }>(`explain ${text}`, values[n]);
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).not.toContain('books_by_title');
  }
  await explaining.end();
});
