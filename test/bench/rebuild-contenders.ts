import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Client } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { bookWords, wordsOf } from '../../projections/catalogue/book-words.js';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { searchWords, sortKey } from '../../projections/catalogue/search-text.js';
import { Maintenance } from '../../projections/maintenance.js';
import { keys } from '../../projections/build/tables.js';
import { prepareTables, TABLE_STATES, type Tables } from './tables.js';
import type { Link } from '../../src/books/book.events.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { createPool } from '../../src/postgres/database.js';

// One contender of rebuild.bench.ts, in a process of its own: its name, the database, a folder. Prints a line of JSON:
// milliseconds of the work, without the start of the process, and the largest memory it had.
const [name = '', url = '', folder = ''] = process.argv.slice(2);
const TABLES = ['authors', 'books', 'author_book', 'book_words'] as const;
const SCHEMA = 'bench_plain';

const client = new Client({ connectionString: url });
await client.connect();

/** `colophon rebuild`, all of it, onto tables that are right, missing, or different in every row. */
async function colophon(tables: Tables): Promise<number> {
  await prepareTables(client, tables);
  const pool = createPool(url);
  const store = new PostgresEventStore(url);
  const target = { projection: catalogue, schema: 'catalogue', log: await store.logId() };
  const maintenance = new Maintenance({ target, store, pool, connectionString: url });
  const started = performance.now();
  await maintenance.rebuild({});
  const ms = performance.now() - started;
  await maintenance.close();
  await store.close();
  await pool.end();
  return ms;
}

/** (a) All events out, data and metadata parsed: what any rebuild in JavaScript must do at least. */
async function copyOutAndParse(): Promise<number> {
  const started = performance.now();
  const events = `select stream, revision, id, type, data, metadata, recorded_at from event_store.events order by position`;
  for await (const [, , , , data, metadata] of linesOf(events)) {
    JSON.parse(data ?? '');
    JSON.parse(metadata ?? '');
  }
  return performance.now() - started;
}

/** (b) The rows as they are now in, keys and indexes after: what any rebuild in PostgreSQL must do at least. */
async function copyRowsIn(): Promise<number> {
  const file = (table: string) => join(folder, table);
  for (const table of TABLES)
    if (!existsSync(file(table)))
      await pipeline(
        client.query(copyTo(`copy (select * from catalogue.${table}) to stdout`)),
        createWriteStream(file(table)),
      );
  await bareTables();
  const started = performance.now();
  for (const table of TABLES)
    await pipeline(createReadStream(file(table)), client.query(copyFrom(`copy ${table} from stdin`)));
  await addKeys();
  return performance.now() - started;
}

/** (c) What a plain `pg` program would do: COPY out, fold in Maps, COPY in, keys and indexes, with no checks. */
async function plain(): Promise<number> {
  await bareTables();
  const started = performance.now();
  await foldAndCopyIn();
  await addKeys();
  return performance.now() - started;
}

/** (c) with primary and foreign keys alone, none of the indexes that queries need. */
async function plainKeysOnly(): Promise<number> {
  await bareTables();
  const started = performance.now();
  await foldAndCopyIn();
  await addKeys(/^create index/);
  return performance.now() - started;
}

interface Author {
  name: string;
  revision: string;
  created: string;
  updated: string;
}
interface Book extends Omit<Author, 'name'> {
  title: string;
  links: (Link & { at: string; by: string; event: string })[];
}

async function foldAndCopyIn(): Promise<void> {
  const authors = new Map<string, Author>();
  const books = new Map<string, Book>();
  for await (const [stream = '', revision = '', event = '', type, text = '', by = '', at = ''] of linesOf(
    `select stream, revision, id, type, data, metadata->>'actor', recorded_at from event_store.events order by position`,
  )) {
    const data = JSON.parse(text) as Link & { name: string; title: string; position: number };
    const id = stream.slice(stream.indexOf('-') + 1);
    const author = authors.get(id);
    const book = books.get(id);
    if (author) Object.assign(author, { revision, updated: at });
    if (book) Object.assign(book, { revision, updated: at });
    switch (type) {
      case 'AuthorAdded':
        authors.set(id, { name: data.name, revision, created: at, updated: at });
        break;
      case 'AuthorRenamed':
        if (author) author.name = data.name;
        break;
      case 'BookAdded':
        books.set(id, { title: data.title, revision, created: at, updated: at, links: [] });
        break;
      case 'BookRetitled':
        if (book) book.title = data.title;
        break;
      case 'BookLinked':
        book?.links.splice(data.position - 1, 0, { ...data, at, by, event });
        break;
      case 'BookLinkChanged':
        for (const link of book?.links ?? [])
          if (link.authorId === data.authorId) Object.assign(link, data, { event });
        break;
      case 'BookUnlinked':
        if (book) book.links = book.links.filter((link) => link.authorId !== data.authorId);
        break;
      default:
        throw new Error(`the made-up log has no ${type}`);
    }
  }
  const columns = Object.fromEntries(TABLES.map((table) => [table, catalogue.bulk.columns[table]?.join()]));
  const write = (table: string, rows: Iterable<string>) =>
    pipeline(
      Readable.from(chunks(rows)),
      client.query(copyFrom(`copy ${table} (${columns[table]}) from stdin`)),
    );
  await write('authors', authorLines(authors));
  await write('books', bookLines(books));
  await write('author_book', linkLines(books));
  await write('book_words', wordLines(books, authors));
}

const line = (...fields: (string | number)[]) =>
  `${fields.map((field) => String(field).replaceAll('\t', '\\t')).join('\t')}\n`;
function* authorLines(authors: Map<string, Author>) {
  for (const [id, { name, revision, created, updated }] of authors)
    yield line(id, name, sortKey(name), searchWords(name), '\\N', revision, created, updated);
}
function* bookLines(books: Map<string, Book>) {
  for (const [id, { title, revision, created, updated }] of books)
    yield line(id, title, sortKey(title), '\\N', '\\N', revision, created, updated);
}
function* wordLines(books: Map<string, Book>, authors: Map<string, Author>) {
  for (const [id, { title, links, created }] of books) {
    const credits = links.flatMap(({ creditedAs }) => creditedAs ?? []);
    const names = links.map(({ authorId }) => searchWords(authors.get(authorId)?.name ?? ''));
    const words = bookWords(wordsOf(title, credits), names);
    yield line(id, sortKey(title), created, words);
  }
}
function* linkLines(books: Map<string, Book>) {
  for (const [id, { links }] of books)
    for (const [index, { authorId, roles, creditedAs, at, by, event }] of links.entries())
      yield line(authorId, id, index + 1, `{${roles.join()}}`, creditedAs ?? '\\N', at, by, event);
}

function* chunks(lines: Iterable<string>): Iterable<string> {
  let text = '';
  for (const one of lines) {
    text += one;
    if (text.length < 65_536) continue;
    yield text;
    text = '';
  }
  yield text;
}

/** Rows of a query, by COPY. */
async function* linesOf(query: string): AsyncIterable<string[]> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of client.query(copyTo(`copy (${query}) to stdout`)) as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const one of lines) yield one.split('\t');
  }
}

async function bareTables(): Promise<void> {
  await client.query(`drop schema if exists ${SCHEMA} cascade; create schema ${SCHEMA}`);
  await client.query(`set search_path to ${SCHEMA}, public; set maintenance_work_mem = '256MB'`);
  await client.query(catalogue.columns());
}

async function addKeys(without?: RegExp): Promise<void> {
  for (const statement of keys({ projection: catalogue, schema: SCHEMA, log: '' }))
    if (!without?.test(statement) && !/checkpoint|parked/.test(statement)) await client.query(statement);
  await client.query(catalogue.references());
}

const contenders: Record<string, () => Promise<number>> = {
  ...Object.fromEntries(TABLE_STATES.map((tables) => [tables, () => colophon(tables)])),
  copyOutAndParse,
  copyRowsIn,
  plain,
  plainKeysOnly,
};
const ms = await contenders[name]?.();
await client.query(`drop schema if exists ${SCHEMA} cascade`);
await client.end();
console.log(JSON.stringify({ ms, megabytes: Math.round(process.resourceUsage().maxRSS / 1_024) }));
