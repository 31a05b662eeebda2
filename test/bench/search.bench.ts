import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';
import { migrate } from '../../src/postgres/migrate.js';
import { sql } from '../support/database.js';
import { start, startService } from '../support/process.js';
import { copyLog, eventLine, id } from './log.js';
import { LANGUAGES, makeAuthors, makeBooks, makeText, randomNumbers, type Language } from './scripts.js';
import { quantiles, report, round, withServer } from './support.js';

// What a caller waits for a page of 50 that a search finds, in five scripts: words of 1, 2, 3 and 10 letters, one to
// three words. Three queries of five have words of a book that is there, most of them frequent; one has rare words; one
// has a word that nothing has. Beside them a single book by its id, and what a program would ask without an index of
// words. Arguments: the numbers of authors, of books, and of queries for each row.
const [authors = 200_000, books = 1_000_000, queries = 100] = process.argv.slice(2).map(Number);
const LETTERS = [1, 2, 3, 10];
const WORDS = [1, 2, 3];
const SCANS = 5;
const LISTS = ['/books?', '/books?sort=-createdAt&', '/books?sort=createdAt&', '/authors?'];
/** One book of so many gives queries. */
const SAMPLED = 50;

const samples = new Map<Language, string[]>(LANGUAGES.map((language) => [language, []]));

function* lines(): Iterable<string> {
  const names: string[] = [];
  const languages: Language[] = [];
  let position = 0;
  for (const { name, language } of makeAuthors(authors)) {
    yield eventLine((position += 1), `author-${id(0, names.length)}`, 0, 'AuthorAdded', { name });
    names.push(name);
    languages.push(language);
  }
  let n = 0;
  for (const { title, authors: by } of makeBooks(books, authors)) {
    const stream = `book-${id(1, n)}`;
    yield eventLine((position += 1), stream, 0, 'BookAdded', { title });
    for (const [index, author] of by.entries()) {
      const link = { authorId: id(0, author), position: index + 1, roles: ['author'], creditedAs: null };
      yield eventLine((position += 1), stream, index + 1, 'BookLinked', link);
    }
    const [first = 0] = by;
    if (n % SAMPLED === 0) samples.get(languages[first] as Language)?.push(`${title} ${names[first]}`);
    n += 1;
  }
}

const random = randomNumbers(7);
const oneOf = <T>(list: readonly T[]): T => list[random(list.length)] as T;

/** Some letters of the text: the start of a word, or anywhere in a text without blanks. */
function part({ space }: Language, text: string, letters: number): string | undefined {
  const long = text.split(' ').filter((word) => [...word].length >= letters);
  if (long.length === 0) return undefined;
  const word = [...oneOf(long)];
  const from = space ? 0 : random(word.length - letters + 1);
  return word.slice(from, from + letters).join('');
}

function query(language: Language, letters: number, words: number, n: number): string {
  const kind = n % 5;
  const text = () =>
    kind < 3
      ? oneOf(samples.get(language) ?? [])
      : makeText({ ...language, space: language.space }, 400, random);
  for (;;) {
    const from = text();
    const parts = Array.from({ length: words }, () => {
      if (kind !== 4) return part(language, from, letters);
      // Letters in an order that no word has.
      return Array.from({ length: letters }, () => oneOf([...oneOf(language.words)])).join('');
    });
    if (parts.every((one) => one !== undefined)) return parts.join(' ');
  }
}

await withServer(async (databaseUrl) => {
  await migrate(databaseUrl);
  await copyLog(databaseUrl, lines());
  const env = { DATABASE_URL: databaseUrl };
  await start('dist/src/cli.js', ['rebuild'], env).ended;
  const service = await startService(env);
  const timed = async (path: string) => {
    const began = performance.now();
    const answer = await fetch(`${service.url}${path}`);
    const page = (await answer.json()) as { items?: unknown[] };
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return { ms: performance.now() - began, found: page.items?.length ?? 1 };
  };
  const wholeReads = async () => {
    // Sessions tell their counts within a second.
    await setTimeout(2_000);
    const [row] = await sql<{ count: number }>(
      databaseUrl,
      `select sum(seq_scan)::integer as count from pg_stat_user_tables
       where relname in ('authors', 'books', 'author_book', 'book_words')`,
    );
    return row?.count ?? NaN;
  };

  const byId = [];
  for (let n = 0; n < 1_000; n += 1) byId.push((await timed(`/books/${id(1, random(books))}`)).ms);
  const before = await wholeReads();
  const rows = [];
  const slow: { ms: number; path: string }[] = [];
  for (const list of LISTS) {
    for (const language of LANGUAGES)
      for (const letters of LETTERS)
        for (const words of WORDS) {
          const times: number[] = [];
          let pages = 0;
          for (let n = 0; n < queries; n += 1) {
            const path = `${list}search=${encodeURIComponent(query(language, letters, words, n))}`;
            const { ms, found } = await timed(path);
            times.push(ms);
            if (found > 0) pages += 1;
            slow.push({ ms: round(ms), path: decodeURIComponent(path) });
          }
          rows.push({
            list,
            script: language.script,
            share: language.share,
            letters,
            words,
            'found something': `${pages} of ${queries}`,
            ...quantiles(times),
          });
        }
    slow.sort((a, b) => b.ms - a.ms).splice(10);
  }
  const read = (await wholeReads()) - before;

  // The same questions without an index of words.
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  const scans = [];
  for (const language of LANGUAGES) {
    const times: number[] = [];
    for (let n = 0; n < SCANS; n += 1) {
      const word = query(language, 3, 1, n);
      const began = performance.now();
      await client.query(
        `select b.id, b.title from catalogue.books b where b.title ilike $1 or exists (
           select from catalogue.author_book l join catalogue.authors a on a.id = l.author_id
           where l.book_id = b.id and a.name ilike $1)
         order by b.title limit 51`,
        [`%${word}%`],
      );
      times.push(performance.now() - began);
    }
    scans.push({ what: `ilike of 3 letters in ${language.script}, by plain pg`, ...quantiles(times) });
  }
  await client.end();
  service.process.kill('SIGTERM');
  await service.ended;
  report(`search, ${authors} authors and ${books} books`, rows);
  report('beside it', [{ what: 'GET /books/{id}', ...quantiles(byId) }, ...scans]);
  console.log(`tables read whole: ${read} times; slowest: ${JSON.stringify(slow)}`);
});
