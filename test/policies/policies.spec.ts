import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { LinkedBooksInTables } from '../../projections/catalogue/linked-books.js';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { changes } from '../../projections/changes/changes.projection.js';
import { FindStreams } from '../../projections/changes/find-streams.js';
import { Projector } from '../../projections/projector.js';
import { authorStream, type BooksOfRemoved } from '../../src/authors/author.events.js';
import { bookStream, type Link } from '../../src/books/book.events.js';
import { changeStream } from '../../src/changes/change-stream.js';
import { understoodAuthor, understoodBook } from '../../src/changes/understood.js';
import {
  EventStoreUnavailable,
  type EventStore,
  type RecordedEvent,
} from '../../src/event-store/event-store.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { LeadLost } from '../../src/followers/follower.js';
import { effectIdOf } from '../../src/ids.js';
import { Policies } from '../../src/policies/policies.js';
import { PolicyProgress } from '../../src/policies/policy-progress.js';
import { PolicyTables } from '../../src/policies/policy-tables.js';
import { connect, createPool } from '../../src/postgres/database.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { newEvent, readLog } from '../support/events.js';
import '../support/quiet.js';

// One log for all tests. The last tests carry everything out again, from the beginning.

let database: TestDatabase;
let pool: Pool;
let store: PostgresEventStore;
let projectors: Projector[];
let running: Policies;
let progress: PolicyProgress;

beforeAll(async () => {
  database = await createDatabase();
  pool = createPool(database.url);
  store = new PostgresEventStore(database.url);
  const options = { connectionString: database.url };
  projectors = [
    new Projector(catalogue, store, pool, { ...options, schema: 'catalogue' }),
    new Projector(changes, store, pool, { ...options, schema: 'catalogue_changes' }),
  ];
  for (const one of projectors) await one.start();
  running = await start(store);
  progress = new PolicyProgress(tables(), await store.logId());
});
afterAll(async () => {
  await running.close();
  for (const one of projectors) await one.close();
  await store.close();
  await pool.end();
  await database.drop();
});

const SCHEMA = 'catalogue_policies';
const tables = (schema = SCHEMA) => new PolicyTables(pool, schema);

async function start(log: EventStore, schema = SCHEMA, accepted = true): Promise<Policies> {
  const [byBooks, byChange] = projectors as [Projector, Projector];
  const surroundings = {
    store: log,
    books: new LinkedBooksInTables(pool, byBooks),
    streams: new FindStreams(pool, byChange),
    isAccepted: async () => accepted,
  };
  const policies = new Policies(surroundings, tables(schema), { connectionString: database.url });
  await policies.start();
  return policies;
}

interface Circumstances {
  readonly change?: string;
  readonly actor?: string;
  readonly reason?: string;
}

/** Appends an event to the end of a stream. */
async function act(
  stream: string,
  type: string,
  data: object,
  { change = randomUUID(), actor = 'ann', reason }: Circumstances = {},
): Promise<RecordedEvent> {
  const last = (await store.readStream(stream)).at(-1);
  const event = newEvent(type, data);
  const metadata = {
    ...event.metadata,
    correlationId: change,
    actor,
    ...(reason !== undefined && { reason }),
  };
  await store.append(stream, last?.revision ?? 'no-stream', [{ ...event, metadata }]);
  return (await store.readStream(stream)).at(-1) as RecordedEvent;
}

async function author(name: string, circumstances?: Circumstances): Promise<string> {
  const id = randomUUID();
  await act(authorStream(id), 'AuthorAdded', { name }, circumstances);
  return id;
}

async function book(
  authors: readonly (string | Partial<Link>)[],
  circumstances?: Circumstances,
): Promise<string> {
  const id = randomUUID();
  const change = circumstances?.change ?? randomUUID();
  await act(bookStream(id), 'BookAdded', { title: 'Title' }, { ...circumstances, change });
  let position = 1;
  for (const one of authors) {
    const link = typeof one === 'string' ? { authorId: one } : one;
    const data = { roles: ['author'], creditedAs: null, ...link, position: position++ };
    await act(bookStream(id), 'BookLinked', data, { ...circumstances, change });
  }
  return id;
}

const remove = (id: string, books: BooksOfRemoved, circumstances?: Circumstances) =>
  act(authorStream(id), 'AuthorRemoved', { books }, circumstances);
const merge = (id: string, into: string, circumstances?: Circumstances) =>
  act(authorStream(id), 'AuthorMerged', { into }, circumstances);
const revert = (change: string, circumstances?: Circumstances) =>
  act(changeStream(change), 'ChangeReverted', { change }, circumstances);

const ended = async ({ metadata, position }: RecordedEvent) =>
  expect(await progress.ended(metadata.correlationId, position, 20_000)).toBe(true);

const stateOf = async (id: string) => understoodBook(await store.readStream(bookStream(id))).state;
const linksOf = async (id: string) => {
  const state = await stateOf(id);
  return state.status === 'live' ? state.links.map(({ authorId }) => authorId) : state.status;
};
const statusOf = async (id: string) => understoodAuthor(await store.readStream(authorStream(id))).state;
const lastOf = async (stream: string) => (await store.readStream(stream)).at(-1) as RecordedEvent;
const effectsOf = async ({ id }: RecordedEvent) =>
  (await readLog(store)).filter(({ metadata }) => metadata.causationId === id);

test.each<[BooksOfRemoved, string, string]>([
  ['unlink', 'BookUnlinked', 'BookUnlinked'],
  ['remove-sole-authored', 'BookUnlinked', 'BookRemoved'],
  ['remove-all', 'BookRemoved', 'BookRemoved'],
])(
  'a removal with books=%s: a book with another author gets %s, a book without gets %s',
  async (books, ...types) => {
    const [gone, other] = [await author('Gone'), await author('Other')];
    const both = await book([gone, other]);
    const sole = await book([gone]);
    const former = await book([other]);
    const removal = await remove(gone, books, { actor: 'zoe', reason: 'twice' });
    await ended(removal);
    expect([(await lastOf(bookStream(both))).type, (await lastOf(bookStream(sole))).type]).toEqual(types);
    expect(await linksOf(former)).toEqual([other]);
    const { correlationId } = removal.metadata;
    for (const { id, stream, revision, metadata } of await effectsOf(removal)) {
      const by = { actor: 'zoe', reason: 'twice', correlationId, causationId: removal.id };
      expect(metadata).toMatchObject(by);
      // A second try at the same revision is the same event.
      expect(id).toBe(effectIdOf(removal.id, stream, revision - 1n, 1));
    }
  },
);

test('a removal without books waits for nothing, and a restored author keeps the rest', async () => {
  const gone = await author('Gone');
  const its = await book([gone]);
  await ended(await act(authorStream(gone), 'AuthorRemoved', {}));
  await act(bookStream(its), 'BookRetitled', { title: 'Still there' });
  const removal = await remove(gone, 'unlink');
  await ended(removal);
  expect(await linksOf(its)).toEqual([]);
  const again = await book([]);
  await ended(await act(authorStream(gone), 'AuthorRestored', { name: 'Gone' }));
  const late = await act(bookStream(again), 'BookLinked', {
    authorId: gone,
    roles: ['author'],
    creditedAs: null,
    position: 1,
  });
  await ended(late);
  expect(await linksOf(again)).toEqual([gone]);
});

test('a merge relinks thirty books, and one that has both authors', async () => {
  const [old, into, third] = [await author('Old Name'), await author('Name'), await author('Third')];
  const books: string[] = [];
  for (let n = 0; n < 29; n += 1) books.push(await book(n % 2 ? [third, old] : [old]));
  const both = await book([
    { authorId: third },
    { authorId: into, roles: ['author'], creditedAs: 'As Printed' },
    { authorId: old, roles: ['translator'] },
  ]);
  const merged = await merge(old, into);
  await ended(merged);
  expect(await effectsOf(merged)).toHaveLength(30);
  for (const one of books) expect(await linksOf(one)).toContain(into);
  expect(await stateOf(both)).toMatchObject({
    links: [
      { authorId: third },
      { authorId: into, roles: ['author', 'translator'], creditedAs: 'As Printed' },
    ],
  });
  expect(await stateOf(books[0] ?? '')).toMatchObject({
    links: [{ authorId: into, creditedAs: 'Old Name' }],
  });
});

test('a link that raced a removal or a merge is caught, whenever it lands', async () => {
  const [removed, merged, into] = [await author('Removed'), await author('Merged'), await author('Into')];
  const empty = await book([]);
  const events = [await remove(removed, 'remove-sole-authored'), await merge(merged, into)];
  for (const event of events) await ended(event);
  const late = { roles: ['author'], creditedAs: null, position: 1 };
  await act(bookStream(empty), 'BookLinked', { ...late, authorId: merged });
  await ended({ ...(events[1] as RecordedEvent), position: (await lastOf(bookStream(empty))).position });
  expect(await linksOf(empty)).toEqual([into]);
  await act(bookStream(empty), 'BookUnlinked', { authorId: into });
  await act(bookStream(empty), 'BookLinked', { ...late, authorId: removed });
  await ended({ ...(events[0] as RecordedEvent), position: (await lastOf(bookStream(empty))).position });
  expect(await linksOf(empty)).toBe('removed');
});

test('a restored book follows a merge of its author, and waits for a removed author', async () => {
  const [removed, merged, into] = [await author('Removed'), await author('Merged'), await author('Into')];
  const its = await book([merged, removed]);
  const state = await stateOf(its);
  await act(bookStream(its), 'BookRemoved', {});
  const merging = await merge(merged, into);
  const removal = await remove(removed, 'unlink');
  await ended(removal);
  const authors = state.status === 'live' ? state.links : [];
  const back = await act(bookStream(its), 'BookRestored', { title: 'Title', authors });
  await ended({ ...merging, position: back.position });
  expect(await linksOf(its)).toEqual([into, removed]);
});

test('merges in a circle: the later one is taken back, and a chain ends at the last survivor', async () => {
  const ids = [await author('A'), await author('B'), await author('C')] as const;
  const [a, b, c] = ids;
  const books = [await book([a]), await book([b]), await book([c])];
  const first = await merge(a, b);
  const closing = await merge(b, a);
  for (const event of [first, closing]) await ended(event);
  expect(await statusOf(a)).toMatchObject({ status: 'removed', mergedInto: b });
  expect(await statusOf(b)).toMatchObject({ status: 'live', name: 'B' });
  expect((await lastOf(authorStream(b))).metadata).toMatchObject({ causationId: closing.id });
  for (const one of books.slice(0, 2)) expect(await linksOf(one)).toEqual([b]);
  await ended(await merge(b, c));
  for (const one of books) expect(await linksOf(one)).toEqual([c]);
});

test('a revert takes a removal, a merge and an import back, and leaves what was changed since', async () => {
  const [gone, stays] = [await author('Gone'), await author('Stays')];
  const books = [await book([gone, stays]), await book([gone])];
  const removal = await remove(gone, 'remove-sole-authored');
  await ended(removal);
  const reverting = await revert(removal.metadata.correlationId);
  await ended(reverting);
  expect(await statusOf(gone)).toMatchObject({ status: 'live' });
  expect(await linksOf(books[0] ?? '')).toEqual([gone, stays]);
  expect(await linksOf(books[1] ?? '')).toEqual([gone]);
  const written = await effectsOf(reverting);
  expect(written).toHaveLength(3);
  for (const { metadata } of written)
    expect(metadata).toMatchObject({ reverts: removal.metadata.correlationId, causationId: reverting.id });

  const merging = await merge(gone, stays);
  await ended(merging);
  expect(await linksOf(books[0] ?? '')).toEqual([stays]);
  await ended(await revert(merging.metadata.correlationId));
  expect(await linksOf(books[0] ?? '')).toEqual([gone, stays]);

  const change = randomUUID();
  const imported = [await author('One', { change }), await author('Two', { change })] as const;
  const [one, two] = imported;
  const shelf = [await book([one], { change }), await book([two], { change })] as const;
  await act(authorStream(stays), 'AuthorRenamed', { name: 'Renamed' }, { change });
  const since = await act(bookStream(shelf[1]), 'BookRetitled', { title: 'Mine' }, { actor: 'bob' });
  const reverted = await revert(change);
  await ended(reverted);
  expect(await statusOf(one)).toMatchObject({ status: 'removed' });
  expect(await statusOf(two)).toMatchObject({ status: 'live' });
  expect(await statusOf(stays)).toMatchObject({ name: 'Stays' });
  expect(await linksOf(shelf[0])).toBe('removed');
  expect(await stateOf(shelf[1])).toMatchObject({ status: 'live', title: 'Mine' });
  const { facts, total } = await progress.leftAlone(reverted.metadata.correlationId, 10);
  expect(total).toBe(2);
  expect(facts).toEqual(
    expect.arrayContaining([
      { stream: bookStream(shelf[1]), fact: 'added', why: 'changed-since', since: since.position },
      { stream: authorStream(two), fact: 'added', why: 'author-has-books', since: undefined },
    ]),
  );

  await ended(await revert(reverted.metadata.correlationId));
  expect(await statusOf(one)).toMatchObject({ status: 'live' });
  expect(await statusOf(stays)).toMatchObject({ name: 'Renamed' });
  expect(await linksOf(shelf[0])).toEqual([one]);
});

test('a revert that was reverted at once does nothing', async () => {
  const change = randomUUID();
  const added = await author('Added', { change });
  const first = await revert(change, { change: 'first of two' });
  // In the same moment, as another process might.
  const second = await revert('first of two');
  for (const event of [first, second]) await ended(event);
  const states = [await statusOf(added)];
  expect(states).toMatchObject([{ status: 'live' }]);
});

test('what a revert left alone stays alone, whatever happens later', async () => {
  const [absent, change] = [await author('Absent'), randomUUID()];
  const its = await book([absent]);
  await act(bookStream(its), 'BookUnlinked', { authorId: absent }, { change });
  const added = await author('Added', { change });
  const shelf = await book([added]);
  await act(authorStream(absent), 'AuthorRemoved', {});
  const reverting = await revert(change);
  await ended(reverting);
  const { facts } = await progress.leftAlone(reverting.metadata.correlationId, 10);
  expect(facts.map(({ why }) => why)).toEqual(['author-has-books', 'author-removed']);
  // The last test decides again, when neither reason holds any more.
  await act(authorStream(absent), 'AuthorRestored', { name: 'Absent' });
  await act(bookStream(shelf), 'BookUnlinked', { authorId: added });
});

test('a book that can’t be understood is parked, and the others go on; an operator tries again, or lets it be', async () => {
  const gone = await author('Gone');
  const books = [await book([gone]), await book([gone]), await book([gone])] as const;
  const strange = await act(bookStream(books[1]), 'BookPainted', {});
  const lines: unknown[][] = [];
  Logger.overrideLogger({ log: () => {}, warn: () => {}, error: (...line: unknown[]) => lines.push(line) });
  const removal = await remove(gone, 'unlink');
  await ended(removal);
  const told = () => lines.find(([line]) => String(line).startsWith('1 authors and books parked'));
  await until(async () => told() !== undefined);
  Logger.overrideLogger(false);
  expect(told()?.[1]).toEqual({ policy: 'AuthorRemoved', changeId: removal.metadata.correlationId });
  expect([await linksOf(books[0]), await linksOf(books[2])]).toEqual([[], []]);
  const stream = bookStream(books[1]);
  const [parked] = await tables().parked({ stream });
  expect(parked).toMatchObject({ cause: removal.position, what: 'AuthorRemoved' });
  expect(parked?.error).toMatch(/can't read the BookPainted at revision 2/);
  await sql(
    database.url,
    `update event_store.events set type = 'BookRetitled', data = '{"title": "Plain"}' where id = '${strange.id}'`,
  );
  expect(await tables().retry(stream)).toBe(1);
  await ended(removal);
  expect(await linksOf(books[1])).toEqual([]);
  expect(await tables().parked({ stream })).toEqual([]);
  expect(await tables().retry(stream)).toBe(0);
  expect(await tables().drop(stream)).toBe(0);
});

test('a process that dies at any step leaves a task that the next one finishes, once', async () => {
  await running.close();
  for (let step = 1; ; step += 1) {
    const [old, into] = [await author('Old'), await author('Into')];
    const books = [await book([old]), await book([old, into])];
    let calls = 0;
    const dies = async <T>(work: () => Promise<T>): Promise<T> => {
      calls += 1;
      // Half of the time the append was written, and nobody learned so.
      if (calls === step && step % 2 === 0) await work();
      if (calls >= step) throw new EventStoreUnavailable();
      return work();
    };
    const mortal = Object.assign(Object.create(store) as EventStore, {
      append: (...given: Parameters<EventStore['append']>) => dies(() => store.append(...given)),
      readStream: (...given: Parameters<EventStore['readStream']>) => dies(() => store.readStream(...given)),
    });
    const dying = await start(mortal);
    const change = randomUUID();
    const merging = await merge(old, into, { change });
    let survived = false;
    await until(async () => {
      survived = await progress.ended(change, merging.position, 0);
      return survived || calls >= step;
    });
    await dying.close();
    running = await start(store);
    await ended(merging);
    expect(await effectsOf(merging)).toHaveLength(2);
    for (const one of books) expect(await linksOf(one)).toEqual([into]);
    if (survived) break;
    await running.close();
  }
});

test('two leaders who do not know of each other write everything once', async () => {
  const other = await start(store, 'others_policies');
  const [old, into] = [await author('Old'), await author('Into')];
  const books = [await book([old]), await book([old, into]), await book([into])];
  const merging = await merge(old, into);
  await ended(merging);
  const others = new PolicyProgress(tables('others_policies'), await store.logId());
  expect(await others.ended(merging.metadata.correlationId, merging.position, 20_000)).toBe(true);
  expect(await effectsOf(merging)).toHaveLength(2);
  for (const one of books) expect(await linksOf(one)).toEqual([into]);
  await other.close();
});

test('one leads; another stands by, and takes over', async () => {
  const standby = await start(store);
  expect([(await running.status()).active, (await standby.status()).active]).toEqual([true, false]);
  await running.close();
  running = standby;
  await until(async () => (await running.status()).active);
  const gone = await author('Gone');
  const its = await book([gone]);
  await ended(await remove(gone, 'unlink'));
  expect(await linksOf(its)).toEqual([]);
});

test('a leader whose checkpoint was moved by another takes nothing in', async () => {
  const client = await connect(database.url);
  const checkpoint = await tables().checkpoint(client);
  if (!checkpoint) throw new Error('policies have begun');
  const stale = { ...checkpoint, position: 1n };
  const taking = tables().take(
    client,
    stale,
    { position: 2n, id: randomUUID() },
    { tasks: [], gone: [], back: [] },
  );
  await expect(taking).rejects.toThrow(LeadLost);
  expect((await tables().checkpoint(client))?.position).toBe(checkpoint.position);
  await client.end();
});

test.each([
  ['another log', /followed another log/, { logId: async () => '018f3c3a-0000-4000-8000-000000000001' }],
  ['an older state of the log', /went back/, { holds: async () => false }],
])('policies on %s stand still, until the tables follow it too', async (_, error, otherwise) => {
  const schema = `moved_policies_${Object.keys(otherwise).join().toLowerCase()}`;
  const head = async () => (await readLog(store)).at(-1)?.position ?? 0n;
  const knows = (policies: Policies) => async () => (await policies.status()).position === (await head());
  const first = await start(store, schema);
  await until(knows(first));
  await first.close();
  const other = Object.assign(Object.create(store) as EventStore, otherwise);
  const refused = await start(other, schema, false);
  await until(async () => error.test((await refused.status()).error ?? ''));
  expect(await refused.status()).toMatchObject({ active: false });
  await refused.close();
  const again = await start(other, schema);
  await until(async () => (await again.status()).active && (await knows(again)()));
  expect((await again.status()).error).toBeUndefined();
  await again.close();
});

test('policies that begin anew carry everything out again, and write nothing', async () => {
  const before = await readLog(store);
  await running.close();
  await sql(database.url, `drop schema ${SCHEMA} cascade`);
  running = await start(store);
  const head = before.at(-1)?.position ?? 0n;
  expect(await progress.reached(head, 20_000)).toBe(true);
  await until(async () => (await tables().counts()).open === 0);
  expect(await readLog(store)).toEqual(before);
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((again) => setTimeout(again, 5));
}
