import { join } from 'node:path';
import { Client } from 'pg';
import { start } from '../support/process.js';
import { sql } from '../support/database.js';
import { writeCatalogue } from './catalogue.js';
import { report, round, withServer } from './support.js';

// A whole catalogue through `colophon import`: from the start of the program until the last row is in the tables and
// the program has ended. Beside it the floor: the same events and rows written by plain pg, in batches, undecided.
// With EVENTSTOREDB_URL, the events go there, and the floor is that of the rows alone.
const BATCH = 500;
const [folder] = process.argv.slice(2);
const eventStoreDb = process.env['EVENTSTOREDB_URL'];
const store = eventStoreDb
  ? { EVENTSTOREDB_URL: eventStoreDb, EVENTSTOREDB_PREFIX: `bench-${Date.now()}-` }
  : undefined;
const TABLES = ['catalogue.authors', 'catalogue.books', 'catalogue.author_book'];

await withServer(async (url, scratch) => {
  const file = join(scratch, 'catalogue.ndjson');
  await writeCatalogue(file, folder);
  const started = performance.now();
  const program = start('dist/src/cli.js', ['import', file], { DATABASE_URL: url, ...store });
  await program.ended;
  const seconds = (performance.now() - started) / 1_000;
  process.stdout.write(program.output());

  const [counts] = await sql<{ authors: number; books: number; links: number }>(
    url,
    `select (select count(*)::integer from catalogue.authors) as authors,
            (select count(*)::integer from catalogue.books) as books,
            (select count(*)::integer from catalogue.author_book) as links`,
  );
  const { authors = 0, books = 0, links = 0 } = counts ?? {};
  // A first import writes an event for each.
  const events = authors + books + links;
  const floor = await writePlainly(url);
  report('import', [
    { what: 'colophon import', events, seconds: round(seconds, 1), 'events/s': round(events / seconds) },
    { what: 'plain pg', events, seconds: round(floor, 1), 'events/s': round(events / floor) },
    { what: 'ratio', events, seconds: round(seconds / floor, 2), 'events/s': round(floor / seconds, 2) },
  ]);
  console.log(`in the tables: ${authors} authors, ${books} books, ${links} links`);
});

/** Copies log and tables into empty twins, keys and indexes in place, batch by batch, one after the other. */
async function writePlainly(url: string): Promise<number> {
  const client = new Client({ connectionString: url });
  await client.connect();
  let seconds = 0;
  for (const table of store ? TABLES : ['event_store.events', ...TABLES]) {
    await client.query(`create table twin (like ${table} including all)`);
    const { rows, fields } = await client.query<unknown[]>({
      text: `select row_to_json(t)::text from ${table} t`,
      rowMode: 'array',
    });
    const started = performance.now();
    for (let n = 0; n < rows.length; n += BATCH)
      await client.query({
        name: `twin ${table} ${fields.length}`,
        text: `insert into twin select r.* from unnest($1::json[]) j, json_populate_record(null::twin, j) r`,
        values: [rows.slice(n, n + BATCH).map(([json]) => json)],
      });
    seconds += (performance.now() - started) / 1_000;
    await client.query('drop table twin');
  }
  await client.end();
  return seconds;
}
