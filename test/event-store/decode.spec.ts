import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { concerns } from '../../projections/projection.js';
import { skipOf } from '../../projections/skips.js';
import { evolveAuthor, unknownAuthor, type Author } from '../../src/authors/author.js';
import { flawOfAuthorEvent, type AuthorEvent } from '../../src/authors/author.events.js';
import { evolveBook, unknownBook, type Book } from '../../src/books/book.js';
import { flawOfBookEvent, type BookEvent } from '../../src/books/book.events.js';
import { metadataOf } from '../../src/commands/command-context.js';
import { decode, type StoredEvent } from '../../src/event-store/decode.js';
import type { RecordedEvent } from '../../src/event-store/event-store.js';
import { evolveOperations, noOperations } from '../../src/operations/operations.js';
import type { OperationEvent } from '../../src/operations/operations.events.js';
import { ROOT } from '../support/process.js';

// The bytes of every event of every schema version that was ever written. Lines are added, never changed.
const FIXTURES = join(import.meta.dirname, 'fixtures');
const HERE = new Date('2026-02-01T00:00:00Z');

interface Line extends Omit<StoredEvent, 'data' | 'metadata'> {
  /** The bytes, as text. */
  readonly data: string;
  readonly metadata: string;
}

const linesOf = (file: string): Line[] =>
  readFileSync(join(FIXTURES, file), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

const stored = (line: Line, index: number): StoredEvent => ({
  ...line,
  revision: BigInt(line.revision),
  position: BigInt(index + 1),
  data: JSON.parse(line.data) as unknown,
  metadata: JSON.parse(line.metadata) as unknown,
  recordedAt: HERE,
});

const all = readdirSync(FIXTURES)
  .toSorted()
  .flatMap((file) => linesOf(file).map(stored));
const events = all.map((event) => decode(event));
const of = (stream: string) => events.filter((event) => event.stream.startsWith(stream));

test('every event type there is has its bytes among the fixtures', () => {
  const types = ['authors/author', 'books/book', 'changes/change', 'operations/operations'].flatMap((file) =>
    [...readFileSync(join(ROOT, 'src', `${file}.events.ts`), 'utf8').matchAll(/type: '(\w+)'/g)].map(
      ([, type]) => type,
    ),
  );
  expect([...new Set(all.map((event) => event.type))].toSorted()).toEqual(types.toSorted());
});

test('commands read the old bytes', () => {
  const author = of('author-0190a1b2-0000-7000-8000-00000000000a').reduce<Author>(
    (state, event) => evolveAuthor(state, event as unknown as AuthorEvent),
    unknownAuthor,
  );
  expect(author).toEqual({ status: 'live', name: 'José de Sousa Saramago' });
  const book = of('book-0190a1b2-0000-7000-8000-00000000000b').reduce<Book>(
    (state, event) => evolveBook(state, event as unknown as BookEvent),
    unknownBook,
  );
  expect(book).toEqual({
    status: 'live',
    title: 'Ensaio sobre a cegueira',
    links: [{ authorId: '0190a1b2-0000-7000-8000-00000000000a', roles: ['author'], creditedAs: null }],
  });
});

test('commands read the keys of sources, and what titles are filed as', () => {
  const author = of('author-0190a1b2-0000-7000-8000-00000000000d').reduce<Author>(
    (state, event) => evolveAuthor(state, event as unknown as AuthorEvent),
    unknownAuthor,
  );
  expect(author).toEqual({ status: 'live', name: 'Patrick Süskind', key: 'dnb:118619721' });
  const book = of('book-0190a1b2-0000-7000-8000-00000000000e').reduce<Book>(
    (state, event) => evolveBook(state, event as unknown as BookEvent),
    unknownBook,
  );
  expect(book).toEqual({
    status: 'live',
    title: 'Die Taube',
    filedAs: 'Taube',
    key: 'dnb:850103',
    links: [],
  });
});

test('commands read who was merged, and what was relinked', () => {
  const author = of('author-0190a1b2-0000-7000-8000-00000000001a').reduce<Author>(
    (state, event) => evolveAuthor(state, event as unknown as AuthorEvent),
    unknownAuthor,
  );
  const into = '0190a1b2-0000-7000-8000-00000000000a';
  expect(author).toEqual({ status: 'removed', name: 'Jose Saramago', mergedInto: into });
  const book = of('book-0190a1b2-0000-7000-8000-00000000001b').reduce<Book>(
    (state, event) => evolveBook(state, event as unknown as BookEvent),
    unknownBook,
  );
  expect(book).toEqual({
    status: 'live',
    title: 'Caim',
    links: [{ authorId: into, roles: ['author'], creditedAs: 'Jose Saramago' }],
  });
  expect(of('author-0190a1b2-0000-7000-8000-00000000001c').at(-1)?.metadata.reverts).toBe('removal 1');
});

test('an event has a key and a filed title that a table can hold, or none', () => {
  const text = { title: 'x', name: 'x' };
  const long = 'k'.repeat(256);
  for (const [flawOf, type, data, flaw] of [
    [flawOfAuthorEvent, 'AuthorAdded', { key: 3 }, 'its key'],
    [flawOfAuthorEvent, 'AuthorRestored', { key: long }, 'its key'],
    [flawOfBookEvent, 'BookAdded', { key: 'a\0' }, 'its key'],
    [flawOfBookEvent, 'BookRetitled', { filedAs: null }, 'its filedAs'],
    [flawOfBookEvent, 'BookRestored', { authors: [], filedAs: 'a\0' }, 'its filedAs'],
  ] as const)
    expect(flawOf({ type, data: { ...text, ...data } })).toBe(`${flaw} is not text that a table can hold`);
  expect(flawOfBookEvent({ type: 'BookAdded', data: { ...text, filedAs: 'x', key: 'k' } })).toBeUndefined();
});

test('the tables are folded from the old bytes', () => {
  const { fold, rows } = catalogue.bulk;
  const found: unknown[] = [];
  const ours = events.filter((event) => concerns(catalogue, event));
  for (const stream of new Set(ours.map((event) => event.stream))) {
    const standing = of(stream).reduce<unknown>((before, event) => fold(before, event), undefined);
    rows(stream, standing, (table, values) => {
      // Follows from the other rows.
      if (table === 'book_words') return;
      const rare = catalogue.bulk.columns[table]?.flatMap((name, index) =>
        ['filed_as', 'source_key'].includes(name) && values[index] !== null ? [values[index]] : [],
      );
      found.push([table, ...values.slice(0, 2), ...(rare ?? [])]);
    });
  }
  expect(found).toEqual([
    ['authors', '0190a1b2-0000-7000-8000-00000000000a', 'José de Sousa Saramago'],
    ['authors', '0190a1b2-0000-7000-8000-00000000000c', 'Giovanni Pontiero'],
    ['books', '0190a1b2-0000-7000-8000-00000000000b', 'Ensaio sobre a cegueira'],
    ['author_book', '0190a1b2-0000-7000-8000-00000000000a', '0190a1b2-0000-7000-8000-00000000000b'],
    ['authors', '0190a1b2-0000-7000-8000-00000000000d', 'Patrick Süskind', 'dnb:118619721'],
    ['books', '0190a1b2-0000-7000-8000-00000000000e', 'Die Taube', 'Taube', 'dnb:850103'],
    ['removed', 'author', '0190a1b2-0000-7000-8000-00000000001a'],
    ['author_redirects', '0190a1b2-0000-7000-8000-00000000001a', '0190a1b2-0000-7000-8000-00000000000a'],
    ['authors', '0190a1b2-0000-7000-8000-00000000001c', 'Juan del Val'],
    ['books', '0190a1b2-0000-7000-8000-00000000001b', 'Caim'],
    ['author_book', '0190a1b2-0000-7000-8000-00000000000a', '0190a1b2-0000-7000-8000-00000000001b'],
  ]);
});

test('operators’ acts are read from the old bytes', () => {
  expect(of('operations-catalogue').map((event) => skipOf(catalogue, event))).toMatchObject([
    {
      stream: 'author-0190a1b2-0000-7000-8000-00000000000f',
      revision: '1',
      eventId: '0190a1b2-0000-7000-8000-000000000221',
    },
  ]);
  const acts = of('operations-0190a1b2') as unknown as OperationEvent[];
  expect(acts.map(({ type }) => type)).toEqual([
    'TablesRebuilt',
    'TablesRepaired',
    'ParkedRetried',
    'LogTransferred',
  ]);
  expect(acts.reduce(evolveOperations, noOperations).transferred).toEqual({
    from: '0190a1b2-0000-7000-8000-0000000000bb',
    events: 26,
  });
});

test('metadata is kept, and an event that was transferred keeps its first time', () => {
  const [, renamed, transferred] = events;
  expect(renamed?.metadata).toMatchObject({ actor: 'Ümit', reason: 'as on the title page' });
  expect(renamed?.recordedAt).toEqual(HERE);
  expect(transferred?.recordedAt).toEqual(new Date('2026-01-31T12:00:00Z'));
});

test.each(['2026-02-30T12:00:00Z', '2026-04-31T12:00:00Z', '2026-01-01T24:00:00Z', '0000-01-01T00:00:00Z'])(
  'a first time of %s is none',
  (recordedAt) => {
    const [first] = all;
    const metadata = { ...(first?.metadata as object), recordedAt };
    expect(decode({ ...(first as StoredEvent), metadata })).toMatchObject({
      unreadable: 'its metadata has a recordedAt that is not a time',
      recordedAt: HERE,
    });
  },
);

test('what is written today has the shape of the fixtures', () => {
  const [first] = all;
  const { commandId, actor, correlationId } = first?.metadata as Record<string, string>;
  const context = {
    commandId: String(commandId),
    actor: String(actor),
    correlationId: String(correlationId),
  };
  expect(JSON.stringify(metadataOf(context))).toBe(JSON.stringify(first?.metadata));
});

test('an event that another event caused names that one', () => {
  const context = { commandId: 'c', actor: 'policy', correlationId: 'change', causationId: 'event' };
  expect(metadataOf(context)).toMatchObject({
    commandId: 'c',
    correlationId: 'change',
    causationId: 'event',
  });
});

describe('upcasting', () => {
  const split = {
    type: 'AuthorAdded',
    from: 1,
    upcast: (data: object) => ({ names: [(data as { name: string }).name] }),
  };
  const rename = {
    type: 'AuthorAdded',
    from: 2,
    upcast: (data: object) => ({ all: (data as { names: string[] }).names }),
  };
  const decoded = (more: Partial<StoredEvent>): RecordedEvent =>
    decode({ ...(all[0] as StoredEvent), ...more }, [rename, split]);

  test('brings an old event to the newest version, one step after the other', () => {
    const { data, metadata } = decoded({});
    expect(data).toEqual({ all: ['José Saramago'] });
    expect(metadata.schemaVersion).toBe(3);
  });

  test('leaves other types, and newer versions, as they are', () => {
    expect(decoded({ type: 'AuthorRenamed' }).data).toEqual({ name: 'José Saramago' });
    const newer = { ...(all[0]?.metadata as object), schemaVersion: 3 };
    expect(decoded({ metadata: newer }).data).toEqual({ name: 'José Saramago' });
  });
});
