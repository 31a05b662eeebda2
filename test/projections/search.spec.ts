import type { Pool } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import {
  ListAuthors,
  ListAuthorsHandler,
  type AuthorFilter,
} from '../../projections/catalogue/list-authors.js';
import { ListBooks, ListBooksHandler, type BookFilter } from '../../projections/catalogue/list-books.js';
import { Maintenance } from '../../projections/maintenance.js';
import { Projector } from '../../projections/projector.js';
import { bookStream } from '../../src/books/book.events.js';
import { authorStream } from '../../src/authors/author.events.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { createPool } from '../../src/postgres/database.js';
import { POOLS } from '../../src/postgres/pools.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { newEvent } from '../support/events.js';

const id = (kind: 'a' | 'b', n: number) =>
  `00000000-0000-7000-8000-${kind}${n.toString(16).padStart(11, '0')}`;
const link = (author: number, position: number, creditedAs: string | null = null, role = 'author') => ({
  authorId: id('a', author),
  position,
  roles: [role],
  creditedAs,
});

let database: TestDatabase;
let pool: Pool;
let lists: Pool;
beforeAll(async () => {
  database = await createDatabase();
  pool = createPool(database.url);
  lists = createPool(database.url, { ...POOLS.lists, searchPath: 'catalogue,public' });
});
afterAll(async () => {
  await lists.end();
  await pool.end();
  await database.drop();
});

/** Projects what an empty store gets, until the tables have it. */
async function projected(store: MemoryEventStore) {
  await sql(database.url, 'drop schema if exists catalogue cascade');
  const projector = new Projector(catalogue, store, pool, { connectionString: database.url });
  await projector.start();
  const caughtUp = async () => {
    const head = await store.head();
    expect(head !== undefined && (await projector.reached(head, 30_000))).toBe(true);
  };
  return { caughtUp, close: () => projector.close() };
}

async function differences(store: MemoryEventStore) {
  const target = { projection: catalogue, schema: 'catalogue', log: await store.logId() };
  const maintenance = new Maintenance({ target, store, pool, connectionString: database.url });
  const found: unknown[] = [];
  await maintenance.verify({ onDifference: (difference) => void found.push(difference) });
  return found;
}

const books = async (filter: Partial<BookFilter>) =>
  (
    await new ListBooksHandler({ pool: lists }).execute(
      new ListBooks({ limit: 50, sort: 'title', ...filter }),
    )
  )
    .parse()
    .items.map(({ title }) => title);

test('whatever happens to authors, books and links, a search of books knows it', async () => {
  const store = new MemoryEventStore();
  const { caughtUp, close } = await projected(store);
  const revisions = new Map<string, bigint>();
  const happens = async (stream: string, type: string, data: object = {}) => {
    const before = revisions.get(stream);
    await store.append(stream, before ?? 'no-stream', [newEvent(type, data)]);
    revisions.set(stream, (before ?? -1n) + 1n);
  };
  const author = (n: number, type: string, data?: object) => happens(authorStream(id('a', n)), type, data);
  const book = (n: number, type: string, data?: object) => happens(bookStream(id('b', n)), type, data);
  /** What each search finds: the first letters of the titles. */
  const finds = async (expected: Record<string, string>) => {
    await caughtUp();
    const found: Record<string, string> = {};
    for (const search of Object.keys(expected))
      found[search] = (await books({ search })).map((title) => title[0]).join('');
    expect(found).toEqual(expected);
    expect(await differences(store)).toEqual([]);
  };

  await author(0, 'AuthorAdded', { name: 'John Tolkien' });
  await author(1, 'AuthorAdded', { name: 'Christopher Tolkien' });
  await book(0, 'BookAdded', { title: 'Hobbit' });
  await book(1, 'BookAdded', { title: 'Silmarillion' });
  await finds({ tolkien: '', hobbit: 'H' });
  await book(0, 'BookLinked', link(0, 1, 'J. R. R. T.'));
  await book(1, 'BookLinked', link(0, 1));
  await book(1, 'BookLinked', link(1, 2, null, 'editor'));
  await finds({ tolkien: 'HS', 'tolkien hobbit': 'H', 'christopher john': 'S', jrrt: 'H', 'silm hobb': '' });
  await author(0, 'AuthorRenamed', { name: 'Ronald Reuel' });
  await finds({ john: '', reuel: 'HS', 'reuel jrrt': 'H', tolkien: 'S' });
  await book(1, 'AuthorsReordered', { authorIds: [id('a', 1), id('a', 0)] });
  await book(0, 'BookRetitled', { title: 'There and back again' });
  await book(0, 'BookLinkChanged', link(0, 1, 'Anonymous'));
  await finds({ hobbit: '', jrrt: '', 'again anonymous reuel': 'T', 'christopher reuel': 'S' });
  await book(1, 'BookUnlinked', { authorId: id('a', 1) });
  await finds({ christopher: '', reuel: 'ST' });
  // As if the removal had raced the links.
  await author(0, 'AuthorRemoved');
  await finds({ reuel: '', silmarillion: 'S' });
  await author(0, 'AuthorRestored', { name: 'Tolkien again' });
  await finds({ tolkien: 'ST', reuel: '' });
  await book(1, 'BookRemoved');
  await finds({ tolkien: 'T', silmarillion: '' });
  await book(1, 'BookRestored', { title: 'Quenta', authors: [link(0, 1), link(1, 2, 'C. T.')] });
  await finds({ tolkien: 'QT', silmarillion: '', 'ct christopher': 'Q' });
  await close();
}, 60_000);

test('a book of very many words keeps the first ones, however the tables came to be', async () => {
  const store = new MemoryEventStore();
  const { caughtUp, close } = await projected(store);
  const long = (letter: string, n: number) =>
    Array.from({ length: 5 }, (_, k) => `${letter.repeat(40)}${n}x${k}`).join(' ');
  const many = Array.from({ length: 400 }, (_, n) => n);
  for (const n of many)
    await store.append(authorStream(id('a', n)), 'no-stream', [
      newEvent('AuthorAdded', { name: `author${n} ${long('ж', n)}` }),
    ]);
  await store.append(bookStream(id('b', 0)), 'no-stream', [
    newEvent('BookAdded', { title: 'Many' }),
    ...many.map((n) => newEvent('BookLinked', link(n, n + 1, `credit${n} ${long('ц', n)}`))),
  ]);
  await caughtUp();
  const [row] = await sql<{ length: number }>(
    database.url,
    'select length(words)::integer as length from catalogue.book_words',
  );
  expect(row?.length).toBeLessThanOrEqual(262_144);
  expect(row?.length).toBeGreaterThan(250_000);
  expect(await books({ search: 'many credit0 author0' })).toEqual(['Many']);
  expect(await books({ search: 'author399' })).toEqual([]);
  expect(await differences(store)).toEqual([]);
  const renamed = newEvent('AuthorRenamed', { name: 'Brief' });
  await store.append(authorStream(id('a', 0)), 0n, [renamed]);
  await caughtUp();
  expect(await books({ search: 'many brief' })).toEqual(['Many']);
  expect(await differences(store)).toEqual([]);
  await close();
}, 60_000);

test('the event that changed how a book is filed explains the row of its words', async () => {
  const store = new MemoryEventStore();
  await store.append(bookStream(id('b', 1)), 'no-stream', [
    newEvent('BookAdded', { title: 'Das Parfum' }),
    newEvent('BookRetitled', { title: 'Das Parfum', filedAs: 'Parfum' }),
  ]);
  const changed = await catalogue.explain(store, 'book_words', { book_id: id('b', 1) });
  expect(changed.map(({ event }) => event.type)).toEqual(['BookAdded', 'BookRetitled']);
  expect(changed.at(-1)?.row).toMatchObject({ titleSort: 'parfum\tParfum' });
});

describe('pages of a search, however rare its words are and wherever its rows stand', () => {
  const AUTHORS = 300;
  const BOOKS = 1_500;
  interface Made {
    readonly id: string;
    readonly text: string;
    readonly words: string;
    readonly authors: readonly { readonly n: number; readonly role: string }[];
  }
  const made: { authors: Made[]; books: Made[] } = { authors: [], books: [] };
  const idsOf: { authors: string[]; books: string[] } = { authors: [], books: [] };

  beforeAll(async () => {
    const store = new MemoryEventStore();
    const { caughtUp, close } = await projected(store);
    for (let n = 0; n < AUTHORS; n += 1) {
      const text = n < 250 ? `Name${n % 7} of Author ${n}` : `Имя ${n} автора`;
      await store.append(authorStream(id('a', n)), 'no-stream', [newEvent('AuthorAdded', { name: text })]);
      made.authors.push({ id: id('a', n), text, words: text, authors: [] });
    }
    for (let n = 0; n < BOOKS; n += 1) {
      const text = n < 1_200 ? `Volume ${n % 11} on thing${n}` : `Книга ${n} ${n % 5 ? 'третья' : 'first'}`;
      const authors = [{ n: (n * 7) % 200, role: n % 400 ? 'author' : 'narrator' }];
      if (n % 3 === 0) authors.push({ n: 200 + (n % 90), role: 'editor' });
      await store.append(bookStream(id('b', n)), 'no-stream', [
        newEvent('BookAdded', { title: text }),
        ...authors.map(({ n: by, role }, index) => newEvent('BookLinked', link(by, index + 1, null, role))),
      ]);
      const words = [text, ...authors.map(({ n: by }) => made.authors[by]?.text)].join(' ');
      made.books.push({ id: id('b', n), text, words, authors });
    }
    await caughtUp();
    await close();
    for (const [table, column] of [
      ['authors', 'name_sort'],
      ['books', 'title_sort'],
    ] as const)
      idsOf[table] = (
        await sql<{ id: string }>(database.url, `select id from catalogue.${table} order by ${column}, id`)
      ).map((row) => row.id);
  }, 60_000);

  const has = (words: string, search: string) =>
    search
      .toLowerCase()
      .split(' ')
      .every((word) =>
        word.length > 2
          ? words.toLowerCase().includes(word)
          : words
              .toLowerCase()
              .split(' ')
              .some((one) => one.startsWith(word)),
      );

  const FILTERS: (Partial<BookFilter> & Partial<AuthorFilter>)[] = [
    { search: 'volume' },
    { search: 'v' },
    { search: 'к' },
    { search: 'книга третья' },
    { search: 'first' },
    { search: 'thing7 vol' },
    { search: 'name3 thing' },
    { search: 'thing1 name0' },
    { search: 'имя' },
    { search: 'nothing' },
    { search: 'volume', prefix: 'volume 1' },
    { prefix: 'volume 10' },
    { prefix: 'книга' },
    { prefix: 'n' },
    { search: '3', role: 'narrator' },
    { search: 'on', role: 'editor' },
    { search: 'третья', book: id('b', 3), author: id('a', 7) },
    { prefix: 'v', book: id('b', 3), author: id('a', 7) },
    { role: 'editor', book: id('b', 3), author: id('a', 207) },
    { search: 'author 2', hasBooks: false },
    { search: 'name1', hasBooks: true },
    { prefix: 'n', hasBooks: false },
    { prefix: 'имя', hasBooks: false },
    { role: 'editor', hasBooks: true },
    { role: 'editor', hasBooks: false },
  ];

  const expected = (table: 'authors' | 'books', filter: (typeof FILTERS)[0], sort: string): string[] => {
    const { search, prefix, role, author, book, hasBooks } = filter;
    const linksOf = (row: Made) =>
      table === 'books'
        ? row.authors.map(({ n, role: as }) => ({ other: id('a', n), role: as }))
        : made.books.flatMap(({ id: other, authors }) =>
            authors.flatMap(({ n, role: as }) => (id('a', n) === row.id ? [{ other, role: as }] : [])),
          );
    const other = table === 'books' ? author : book;
    const kept = new Set(
      made[table]
        .filter(
          (row) =>
            (search === undefined || has(row.words, search)) &&
            (prefix === undefined || row.text.toLowerCase().startsWith(prefix)) &&
            ((other === undefined && role === undefined) ||
              linksOf(row).some(
                (one) => (other ?? one.other) === one.other && (role ?? one.role) === one.role,
              )) &&
            (table === 'books' || hasBooks === undefined || hasBooks === linksOf(row).length > 0),
        )
        .map((row) => row.id),
    );
    const order = sort.endsWith('createdAt') ? made[table].map((row) => row.id) : idsOf[table];
    return (sort.startsWith('-') ? order.toReversed() : order).filter((one) => kept.has(one));
  };

  test.each(FILTERS)('%j', async (filter) => {
    for (const table of ['books', 'authors'] as const)
      for (const own of ['title', '-title', 'createdAt', '-createdAt']) {
        const sort = table === 'books' ? own : own.replace('title', 'name');
        const { author, book, hasBooks, ...both } = filter;
        const listed = { limit: sort.startsWith('-') ? 60 : 149, sort: sort as never, ...both };
        const found: string[] = [];
        for (let after: string | undefined, more = true; more;) {
          const page = (
            table === 'books'
              ? await new ListBooksHandler({ pool: lists }).execute(
                  new ListBooks({ ...listed, author, after }),
                )
              : await new ListAuthorsHandler({ pool: lists }).execute(
                  new ListAuthors({ ...listed, book, hasBooks, after }),
                )
          ).parse();
          found.push(...page.items.map((item) => item.id));
          more = page.next !== null;
          after = page.next ?? undefined;
        }
        expect({ table, sort, found }).toEqual({ table, sort, found: expected(table, filter, sort) });
      }
  });
});
