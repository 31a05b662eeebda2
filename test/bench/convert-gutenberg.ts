import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';

interface AuthorRow {
  readonly id: number;
  readonly name: string;
}

interface BookRow {
  readonly id: number;
  readonly title: string;
  readonly author_ids: readonly number[];
}

/** Rows of a gzipped NDJSON file. */
async function* rows<Row>(file: string): AsyncIterable<Row> {
  for await (const line of createInterface({ input: createReadStream(file).pipe(createGunzip()) }))
    if (line) yield JSON.parse(line) as Row;
}

/** A Project Gutenberg catalogue, as two gzipped NDJSON files in a folder, turned into import lines. */
export async function* convertGutenberg(folder: string): AsyncIterable<string> {
  for await (const { id, name } of rows<AuthorRow>(`${folder}/gutenberg_authors.ndjson.gz`))
    yield `${JSON.stringify({ type: 'author', key: `gutenberg:${id}`, name })}\n`;
  for await (const { id, title, author_ids } of rows<BookRow>(`${folder}/gutenberg_books.ndjson.gz`)) {
    const authors = author_ids.map((author) => ({ author: `gutenberg:${author}` }));
    yield `${JSON.stringify({ type: 'book', key: `gutenberg:${id}`, title, authors })}\n`;
  }
}
