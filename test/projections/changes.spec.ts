import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type { Client, Pool } from 'pg';
import { changes } from '../../projections/changes/changes.projection.js';
import { FindEvents } from '../../projections/changes/find-events.js';
import type { EventFilter } from '../../src/event-store/event-search.js';
import { Maintenance } from '../../projections/maintenance.js';
import { Projector } from '../../projections/projector.js';
import type { EventStore, NewEvent, RecordedEvent } from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { transfer } from '../../src/event-store/transfer.js';
import { connect, createPool } from '../../src/postgres/database.js';
import { POOLS } from '../../src/postgres/pools.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { newEvent } from '../support/events.js';
import { live, steps } from '../support/history.js';
import { rebatched } from '../support/rebatched.js';

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createDatabase();
  pool = createPool(database.url, POOLS.lists);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

async function project(store: EventStore, schema: string): Promise<void> {
  const projector = new Projector(changes, store, pool, { connectionString: database.url, schema });
  await projector.start();
  const head = await store.head();
  if (head !== undefined) expect(await projector.reached(head, 30_000)).toBe(true);
  await projector.close();
}

const maintenanceOf = async (store: EventStore, schema: string) =>
  new Maintenance({
    target: { projection: changes, schema, log: await store.logId() },
    store,
    pool,
    connectionString: database.url,
  });

/** Everything in the tables, as text. */
const dump = async (schema: string) =>
  (
    await sql<{ line: string }>(
      database.url,
      ['events', 'concerned', 'times', 'parked']
        .map((table) => `select '${table}' as name, to_jsonb(t)::text as line from ${schema}.${table} t`)
        .join(' union all ') + ' order by name, line',
    )
  ).map(({ line }) => line);

const uuid = (kind: string, n: number) => `00000000-0000-7000-8000-${kind}0000000000${n}`;
const [A, B, C] = [uuid('a', 0), uuid('a', 1), uuid('a', 2)];
const BOOK = uuid('b', 0);
const none = 'no-stream' as const;
const link = (authorId: string) => ({ authorId, position: 1, roles: ['author'], creditedAs: null });

test('every event is listed with the authors and the book that it concerns', async () => {
  const store = new MemoryEventStore();
  await store.append(`author-${A}`, none, [newEvent('AuthorAdded', { name: 'A' })]);
  await store.append(`book-${BOOK}`, none, [
    newEvent('BookAdded', { title: 'T' }),
    newEvent('BookLinked', link(A)),
    newEvent('BookLinked', link(B)),
    newEvent('BookLinked', link(C)),
    newEvent('AuthorsReordered', { authorIds: [C, B, A] }),
    newEvent('BookUnlinked', { authorId: B }),
  ]);
  await project(store, 'authors_of');
  await store.append(`book-${BOOK}`, 5n, [
    newEvent('BookLinkChanged', link(C)),
    newEvent('BookRemoved', {}),
    newEvent('BookRestored', { title: 'T', authors: [link(C)] }),
    newEvent('BookRelinked', { from: C, ...link(B) }),
    newEvent('BookRemoved', {}),
  ]);
  await store.append(`author-${C}`, none, [newEvent('AuthorMerged', { into: B })]);
  const reverted = newEvent('ChangeReverted', { change: 'c', from: A, into: B });
  await store.append(`change-${randomUUID()}`, none, [reverted]);
  await project(store, 'authors_of');
  const listed = () =>
    sql<{ type: string; authors: string }>(
      database.url,
      `select type, array_to_string(authors, ' ') as authors, book from authors_of.events order by position`,
    );
  const expected = [
    ['AuthorAdded', [A], null],
    ['BookAdded', [], BOOK],
    ['BookLinked', [A], BOOK],
    ['BookLinked', [B], BOOK],
    ['BookLinked', [C], BOOK],
    ['AuthorsReordered', [C, B, A], BOOK],
    ['BookUnlinked', [B], BOOK],
    ['BookLinkChanged', [C], BOOK],
    // The removal ends the links that the book has by then.
    ['BookRemoved', [A, C], BOOK],
    ['BookRestored', [C], BOOK],
    ['BookRelinked', [B, C], BOOK],
    ['BookRemoved', [B], BOOK],
    ['AuthorMerged', [C, B], null],
    ['ChangeReverted', [], null],
  ].map(([type, authors, book]) => ({ type, authors: (authors as string[]).join(' '), book }));
  expect(await listed()).toEqual(expected);
  await (await maintenanceOf(store, 'authors_of')).rebuild({});
  expect(await listed()).toEqual(expected);
});

test('whatever stands in the log is listed, alike live and rebuilt, in batches of any size, and nothing is parked', async () => {
  const good = newEvent().metadata;
  const odd: [type: string, data: unknown, metadata: unknown][] = [
    ['AuthorAdded', { name: 'A' }, null],
    ['AuthorAdded', ['A'], good],
    ['Unheard', { authorId: 'nobody', authorIds: 5, authors: [null, { authorId: 7 }] }, good],
    ['BookLinked', { authorId: A }, { ...good, actor: 'a\0', correlationId: 'c\ud800' }],
    ['BookRemoved', {}, { ...good, correlationId: undefined, causationId: 5 }],
    ['a'.repeat(10_000), {}, { ...good, actor: 'b'.repeat(10_000), correlationId: randomUUID().repeat(100) }],
    ['AuthorRenamed', { name: 'A' }, { ...good, recordedAt: '0001-01-01T00:00:00Z' }],
    ['AuthorRenamed', { name: 'A' }, { ...good, recordedAt: 'yesterday' }],
  ];
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
      async (history, sizes) => {
        await sql(
          database.url,
          ...['odd', 'copied'].flatMap((schema) =>
            ['', '_a', '_b'].map((home) => `drop schema if exists ${schema}${home} cascade`),
          ),
        );
        const store = new MemoryEventStore();
        await live(store, history);
        for (const [n, [type, data, metadata]] of odd.entries())
          await store.append(n % 2 === 0 ? `author-${randomUUID()}` : `book-odd-${n}`, none, [
            { id: randomUUID(), type, data, metadata } as NewEvent,
            newEvent('BookLinked', link(B)),
          ]);
        await project(rebatched(store, sizes), 'odd');
        const lines = await dump('odd');
        expect(lines.filter((line) => line.includes('"revision"'))).toHaveLength(Number(await store.head()));
        const found: object[] = [];
        const maintenance = await maintenanceOf(store, 'odd');
        await maintenance.verify({ onDifference: (difference) => void found.push(difference) });
        expect(found).toEqual([]);
        expect(await maintenance.rebuild({})).toMatchObject({ parked: 0 });
        expect(await dump('odd')).toEqual(lines);

        // And in a copy of the log, whose server sorts by stream.
        const log = await createDatabase();
        const copy = new PostgresEventStore(log.url);
        for await (const _ of transfer(store, copy));
        await project(copy, 'copied');
        const copied = await dump('copied');
        expect(copied).toHaveLength(lines.length);
        await (await maintenanceOf(copy, 'copied')).rebuild({});
        expect(await dump('copied')).toEqual(copied);
        await copy.close();
        await log.drop();
      },
    ),
    { numRuns: 2 },
  );
});

test('an event that another program deleted is named by verify, and goes with a repair', async () => {
  const store = new MemoryEventStore();
  const stream = `author-${A}`;
  await store.append(stream, none, [newEvent(), newEvent('AuthorRenamed', { name: 'B' })]);
  await project(store, 'repaired');
  await sql(
    database.url,
    `insert into repaired.events select 3, stream, 2, type, actor, change, cause, recorded_at, authors, book
     from repaired.events where revision = 1`,
    `update repaired.events set actor = 'somebody' where revision = 0`,
  );
  const maintenance = await maintenanceOf(store, 'repaired');
  const found: object[] = [];
  const onDifference = (difference: object) => void found.push(difference);
  await maintenance.verify({ repair: true, onDifference });
  expect(found).toHaveLength(2);
  expect(found).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        key: { position: '1' },
        found: expect.objectContaining({ actor: 'somebody' }),
        event: expect.objectContaining({ type: 'AuthorAdded' }),
      }),
      expect.objectContaining({ key: { position: '3' }, expected: null, event: undefined }),
    ]),
  );
  expect(await maintenance.verify({ onDifference })).toMatchObject({ differences: 0 });
});

describe('found', () => {
  const AUTHORS = [A, B, C];
  const TYPES = ['AuthorAdded', 'AuthorRenamed', 'BookLinked', 'BookRemoved'];
  const ACTORS = ['anna', 'Änne', 'importer'];
  const CHANGES = ['one', 'two', 'three'];
  const YEARS = [1999, 2001, 2002, 2003, 2004, 2031];
  /** Positions over several blocks of times, in which a clock was wrong. */
  const events = Array.from({ length: 400 }, (_, n): RecordedEvent => {
    const pick = <T>(list: readonly T[], step: number): T => list[Math.floor(n / step) % list.length] as T;
    const author = pick(AUTHORS, 3);
    const ofBook = n % 3 === 0;
    return {
      ...newEvent(ofBook ? pick(['BookLinked', 'BookRemoved'], 6) : pick(TYPES.slice(0, 2), 2), {
        ...(ofBook && { authorId: author }),
      }),
      metadata: {
        ...newEvent().metadata,
        actor: n < 300 ? 'importer' : pick(ACTORS, 1),
        correlationId: pick(CHANGES, 50),
      },
      stream: ofBook ? `book-${uuid('b', n % 2)}` : `author-${author}`,
      revision: BigInt(n),
      position: BigInt(1 + n * 1_777),
      recordedAt: new Date(
        Date.UTC(n % 97 === 0 ? pick(YEARS, 97) : 2001 + Math.floor(n / 100), 0, 1, 0, 0, n),
      ),
    };
  });
  let found: FindEvents;
  let client: Client;
  let rows: { position: string; authors: string[]; book: string | null }[];
  beforeAll(async () => {
    await project(new MemoryEventStore(), 'found');
    client = await connect(database.url);
    await client.query('set search_path to found');
    await changes.apply(client, events);
    ({ rows } = await client.query('select position::text, authors::text[], book from events'));
    found = new FindEvents(pool, new MemoryEventStore(), { schema: 'found' } as Projector, 0);
  });
  afterAll(() => client.end());

  const moment = fc.oneof(
    fc.record({ time: fc.constantFrom(...events.map(({ recordedAt }) => recordedAt)) }),
    fc.record({ position: fc.constantFrom(0n, 5n, ...events.map(({ position }) => position)) }),
  );
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
  const filters: fc.Arbitrary<EventFilter> = fc.record({
    types: maybe(fc.subarray([...TYPES, 'Unknown'], { minLength: 1 })),
    stream: fc.option(fc.constantFrom(`author-${A}`, `book-${uuid('b', 1)}`, 'author-x'), {
      nil: undefined,
      freq: 8,
    }),
    actor: maybe(fc.constantFrom(...ACTORS, 'nobody')),
    change: maybe(fc.constantFrom(...CHANGES, 'none')),
    author: maybe(fc.constantFrom(...AUTHORS, uuid('a', 9))),
    book: fc.option(fc.constantFrom(BOOK, uuid('b', 9)), { nil: undefined, freq: 8 }),
    since: maybe(moment),
    until: maybe(moment),
  });

  test('by any filter, in either direction, in pages of any size, is what a look at every event finds', async () => {
    await fc.assert(
      fc.asyncProperty(
        filters,
        fc.boolean(),
        fc.integer({ min: 1, max: 300 }),
        fc.nat(events.length - 1),
        async (filter, backward, limit, last) => {
          const upTo = events[last]?.position ?? 0n;
          const positions: bigint[] = [];
          for (let after: bigint | undefined, more = true; more;) {
            const page = await found.find(filter, { after, backward, limit, upTo });
            expect(page.positions.length).toBeLessThanOrEqual(limit);
            positions.push(...page.positions);
            after = page.next;
            more = after !== undefined;
          }
          const { types, stream, actor, change, author, book, since, until } = filter;
          const expected = events
            .filter((event, n) => {
              const row = rows[n];
              return (
                event.position <= upTo &&
                (!types || types.includes(event.type)) &&
                (stream === undefined || event.stream === stream) &&
                (actor === undefined || event.metadata.actor === actor) &&
                (change === undefined || event.metadata.correlationId === change) &&
                (author === undefined || row?.authors.includes(author)) &&
                (book === undefined || row?.book === book) &&
                (!since ||
                  ('time' in since ? event.recordedAt >= since.time : event.position >= since.position)) &&
                (!until ||
                  ('time' in until ? event.recordedAt <= until.time : event.position <= until.position))
              );
            })
            .map(({ position }) => position);
          expect(positions).toEqual(backward ? expected.toReversed() : expected);
        },
      ),
      { numRuns: 150 },
    );
  });
});
