import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { convertGutenberg } from './convert-gutenberg.js';

// About the size and shape of Project Gutenberg's catalogue, for who doesn't have that at hand.
const AUTHORS = 27_000;
const BOOKS = 79_000;

function* synthetic(): Iterable<string> {
  for (let n = 0; n < AUTHORS; n += 1)
    yield `${JSON.stringify({ type: 'author', key: `bench:${n}`, name: `Surname ${n}, Forename ${n % 97}` })}\n`;
  for (let n = 0; n < BOOKS; n += 1) {
    const title = `The ${n % 13 ? 'Life' : 'Works'} and Times of Number ${n}, With Some Account of ${n % 1_009}`;
    const authors = [{ author: `bench:${(n * 7) % AUTHORS}` }];
    if (n % 29 === 0) authors.push({ author: `bench:${(n * 7 + 1) % AUTHORS}` });
    yield `${JSON.stringify({ type: 'book', key: `bench:${n}`, title, authors })}\n`;
  }
}

/** Writes import lines: of the Gutenberg files in a folder, or of a made-up catalogue. */
export function writeCatalogue(file: string, folder: string | undefined): Promise<void> {
  const lines = folder === undefined ? synthetic() : convertGutenberg(folder);
  return pipeline(Readable.from(lines), createWriteStream(file));
}
