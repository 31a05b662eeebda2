import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

const WORDS = 'life works letters history garden voyage winter island mirror bridge river night'.split(' ');
const CHUNK = 1_000;
/** Kinds of things that happen to what is there already, a quarter of all events, spread over the whole log. */
const EDITS = 4;

/** A UUID from two numbers: the same every time, and with bits as spread as a random one's. */
export function id(kind: number, n: number): string {
  let state = Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(kind + 1, 0x85ebca6b);
  const word = () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
    state ^= state >>> 13;
    return (state >>> 0).toString(16).padStart(8, '0');
  };
  const [a, b, c, d] = [word(), word(), word(), word()];
  return `${a}-${b.slice(0, 4)}-7${b.slice(5)}-8${c.slice(1, 4)}-${c.slice(4)}${d}`;
}

/** An event as a line of `COPY event_store.events`. Positions begin with 1. */
export function eventLine(
  position: number,
  stream: string,
  revision: number,
  type: string,
  data: object,
): string {
  const commandId = id(3, position);
  const metadata = {
    commandId,
    actor: 'bench',
    correlationId: id(4, position >> 10),
    causationId: commandId,
    schemaVersion: 1,
  };
  const recordedAt = new Date(START + position * 7).toISOString();
  return `${position}\t${stream}\t${revision}\t${id(2, position)}\t${type}\t${JSON.stringify(data)}\t${JSON.stringify(metadata)}\t${recordedAt}\n`;
}

const START = Date.parse('2020-01-01T00:00:00Z');

/**
 * A made-up log of any length, as lines of `COPY event_store.events`: catalogues grow, and a quarter of the events are
 * edits of authors and books from anywhere before. Made twice, it is the same.
 */
export function* makeLog(events: number): Iterable<string> {
  const authorRevisions: number[] = [];
  const bookRevisions: number[] = [];
  // The last author of each book.
  const lastAuthor: number[] = [];
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((seed / 0x80000000) * below);
  };
  const text = (n: number) => `The ${WORDS[n % 12]} of ${WORDS[(n * 7) % 12]}, Volume ${n}`;
  let lines: string[] = [];
  let position = 0;
  const line = (stream: string, revision: number, type: string, data: object) => {
    position += 1;
    lines.push(eventLine(position, stream, revision, type, data));
  };
  const next = (revisions: number[], n: number) => (revisions[n] = (revisions[n] ?? -1) + 1);
  const author = (n: number, type: string, data: object) =>
    line(`author-${id(0, n)}`, next(authorRevisions, n), type, data);
  const book = (n: number, type: string, data: object) =>
    line(`book-${id(1, n)}`, next(bookRevisions, n), type, data);
  const link = (n: number) => {
    const by = random(authorRevisions.length);
    lastAuthor[n] = by;
    book(n, 'BookLinked', { authorId: id(0, by), position: 1, roles: ['author'], creditedAs: null });
  };

  while (position < events) {
    if (authorRevisions.length === 0 || random(8) === 0) {
      const n = authorRevisions.length;
      author(n, 'AuthorAdded', { name: `${WORDS[n % 12]}son ${n}, ${WORDS[(n * 5) % 12]}` });
    } else if (random(3) > 0 || bookRevisions.length === 0) {
      const n = bookRevisions.length;
      book(n, 'BookAdded', { title: text(n) });
      link(n);
    } else {
      const n = random(bookRevisions.length);
      switch (random(EDITS)) {
        case 0:
          book(n, 'BookRetitled', { title: text(n + position) });
          break;
        case 1:
          author(random(authorRevisions.length), 'AuthorRenamed', { name: `Renamed ${position}` });
          break;
        case 2:
          book(n, 'BookLinkChanged', {
            authorId: id(0, lastAuthor[n] ?? 0),
            roles: ['author', 'editor'],
            creditedAs: 'J. D.',
          });
          break;
        default:
          book(n, 'BookUnlinked', { authorId: id(0, lastAuthor[n] ?? 0) });
          link(n);
      }
    }
    if (lines.length >= CHUNK) {
      yield lines.join('');
      lines = [];
    }
  }
  yield lines.join('');
}

/** Fills the log of a migrated, empty event store with a made-up log. */
export const writeLog = (databaseUrl: string, events: number): Promise<void> =>
  copyLog(databaseUrl, makeLog(events));

/** Fills the log of a migrated, empty event store with lines of {@link eventLine}. */
export async function copyLog(databaseUrl: string, lines: Iterable<string>): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await pipeline(Readable.from(lines), client.query(copyFrom('copy event_store.events from stdin')));
    await client.query('vacuum analyze event_store.events');
  } finally {
    await client.end();
  }
}
