import { randomUUID } from 'node:crypto';
import { Client, type Pool } from 'pg';
import type { Phase } from '../../projections/build/build.js';
import { CatalogueAsOf } from '../../projections/catalogue/catalogue-as-of.js';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { explain } from '../../projections/catalogue/explain.js';
import { Maintenance, type Acts } from '../../projections/maintenance.js';
import type { Projection } from '../../projections/projection.js';
import { Projector } from '../../projections/projector.js';
import { authorStream } from '../../src/authors/author.events.js';
import { bookStream } from '../../src/books/book.events.js';
import {
  EventStoreUnavailable,
  type EventStore,
  type NewEvent,
  type RecordedEvent,
} from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { transfer } from '../../src/event-store/transfer.js';
import { operationsStream } from '../../src/operations/operations.events.js';
import { OperatorActs } from '../../src/operations/operator-acts.js';
import { connect, createPool } from '../../src/postgres/database.js';
import { skip } from '../support/acts.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { newEvent } from '../support/events.js';
import { rebatched } from '../support/rebatched.js';
import { dumpTables } from '../support/tables.js';

// Operators' acts are events in the log. Whoever derives a state from the log goes by a skip, and by no other act.

let database: TestDatabase;
let pool: Pool;
let store: MemoryEventStore;
let projector: Projector | undefined;

beforeEach(async () => {
  database = await createDatabase();
  pool = createPool(database.url);
  store = new MemoryEventStore();
});
afterEach(async () => {
  await projector?.close();
  await pool.end();
  await database.drop();
});

async function follow(log: EventStore = store, projection: Projection = catalogue): Promise<void> {
  await projector?.close();
  const options = { connectionString: database.url, schema: 'catalogue' };
  projector = new Projector(projection, log, pool, options);
  await projector.start();
  expect(await projector.reached((await store.head()) ?? 0n, 30_000)).toBe(true);
}

const caughtUp = async () => expect(await projector?.reached((await store.head()) ?? 0n, 30_000)).toBe(true);

/** The status, once the tables have a version or can't get it. */
async function untilVersion(version: number) {
  for (;;) {
    const status = await projector?.status();
    if (status?.tables === version || status?.error !== undefined) return status;
    await new Promise((again) => setTimeout(again, 20));
  }
}

async function operatorOn(log: EventStore, tellingTo = log): Promise<Maintenance> {
  const id = await log.logId();
  const target = { projection: catalogue, schema: 'catalogue', log: id };
  const acts: Acts = new OperatorActs(tellingTo, id, pool);
  return new Maintenance({ target, store: log, pool, connectionString: database.url }, acts);
}

const by = { actor: 'Ümit', reason: 'a test', commandId: randomUUID(), correlationId: 'maintenance 7' };
const acts = async () => store.readStream(operationsStream(await store.logId()));

const append = async (stream: string, ...events: NewEvent[]): Promise<RecordedEvent> => {
  const last = (await store.readStream(stream)).at(-1);
  await store.append(stream, last?.revision ?? 'no-stream', events);
  return (await store.readStream(stream)).at(-1) as RecordedEvent;
};
const added = (name: string) => newEvent('AuthorAdded', { name });
const renamed = (name: unknown) => newEvent('AuthorRenamed', { name });

const rowsOf = async (schema: string, id: string) =>
  (
    await sql<{ name: string; revision: string; stale: boolean }>(
      database.url,
      `select name, revision, stale from ${schema}.authors where id = '${id}'`,
    )
  )[0];

/** What the API says of an author as of a position, in the form of a row. */
async function asOf(id: string, position: bigint) {
  const answer = await new CatalogueAsOf(store).author(id, { position }).catch(() => undefined);
  return answer && { name: answer.name, revision: answer.revision, stale: answer.stale ?? false };
}

test('whatever is skipped, and when: tables, rebuild, past, reasons and a copy of the log have one state', async () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const authors = Array.from({ length: 12 }, () => randomUUID());
  const books = Array.from({ length: 4 }, () => randomUUID());
  const begin = [
    ...authors.map((id) => [authorStream(id), added('Name')]),
    ...books.map((id) => [bookStream(id), newEvent('BookAdded', { title: 'Title' })]),
  ];
  const written: RecordedEvent[] = [];
  const positions: bigint[] = [];
  for (let n = 0; n < 150; n += 1) {
    const author = authors[random(authors.length)] ?? '';
    const book = books[random(books.length)] ?? '';
    const link = { authorId: author, position: 1, roles: ['author'], creditedAs: null };
    const events: [string, NewEvent][] = [
      [authorStream(author), renamed(random(4) === 0 ? n : `Name ${n}`)],
      [authorStream(author), renamed(`Name ${n}`)],
      [authorStream(author), random(4) === 0 ? newEvent('AuthorRemoved', {}) : renamed(`Name ${n}`)],
      [bookStream(book), newEvent('BookRetitled', { title: `Title ${n}` })],
      [bookStream(book), newEvent('BookLinked', link)],
      [bookStream(book), newEvent('BookUnlinked', { authorId: author })],
    ];
    const [stream, event] = (n < 16 ? begin[n] : events[random(events.length)]) as [string, NewEvent];
    written.push(await append(stream, event));
    // Mostly an event that can't be applied, but sometimes one that can, or one that is skipped already.
    const victim = written[random(written.length)];
    if (victim && random(4) === 0) positions.push(await skip(store, victim));
  }
  await follow(rebatched(store, [1, 7, 3, 50]));
  const live = await dumpTables(database.url);
  // Some have no row, some wait, and some do not.
  const stale = await sql<{ stale: boolean }>(
    database.url,
    'select distinct stale from catalogue.authors order by 1',
  );
  expect(stale).toEqual([{ stale: false }, { stale: true }]);

  const operator = await operatorOn(store);
  expect(await operator.verify({ onDifference: () => undefined })).toMatchObject({ differences: 0 });
  await operator.rebuild({ allowParked: true });
  expect(await dumpTables(database.url)).toBe(live);

  const copy = new MemoryEventStore();
  for await (const _ of transfer(store, copy));
  const head = (await store.head()) ?? 0n;
  await (await operatorOn(copy)).buildAsOf({ position: head }, 'copied', false, { allowParked: true });
  expect(await dumpTables(database.url, 'copied')).toBe(live);

  for (const position of [positions[5] ?? 0n, positions[20] ?? 0n, head]) {
    await operator.buildAsOf({ position }, 'as_of', true, { allowParked: true });
    for (const id of authors) {
      const row = await rowsOf('as_of', id);
      expect(await asOf(id, position)).toEqual(row);
      const reason = (await explain(store, 'authors', { id }, position)).at(-1)?.row;
      expect(reason?.['name']).toBe(row?.name);
      expect(reason?.['revision']?.toString()).toBe(row?.revision);
    }
    for (const table of ['author_book', 'waiting_links']) {
      const links = await sql<{ key: string }>(
        database.url,
        `select concat(author_id, ' ', book_id) as key from as_of.${table} order by 1`,
      );
      const explained: string[] = [];
      for (const author_id of authors)
        for (const book_id of books)
          if ((await explain(store, table, { author_id, book_id }, position)).at(-1)?.row)
            explained.push(`${author_id} ${book_id}`);
      expect(explained.toSorted()).toEqual(links.map(({ key }) => key).toSorted());
    }
    for (const id of books) {
      const [row] = await sql<{ words: string }>(
        database.url,
        `select words from as_of.book_words where book_id = '${id}'`,
      );
      expect((await explain(store, 'book_words', { book_id: id }, position)).at(-1)?.row?.['words']).toBe(
        row?.words,
      );
    }
  }
  await operator.close();
});

test('a skip lasts: before it the author is stale, after it a newer version needs no permission to park', async () => {
  const id = randomUUID();
  const stream = authorStream(id);
  await append(stream, added('Anna'));
  const bad = await append(stream, renamed(42));
  const last = await append(stream, renamed('Berta'));
  await follow();
  expect(await rowsOf('catalogue', id)).toEqual({ name: 'Anna', revision: '0', stale: true });
  const position = await skip(store, bad);
  await caughtUp();
  const after = { name: 'Berta', revision: '2', stale: false };
  expect(await rowsOf('catalogue', id)).toEqual(after);
  expect(await asOf(id, last.position)).toEqual({ name: 'Anna', revision: '0', stale: true });
  expect(await asOf(id, position)).toEqual(after);
  const changes = await explain(store, 'authors', { id });
  expect(changes.map(({ event, row }) => [event.type, row?.['name']])).toEqual([
    ['AuthorAdded', 'Anna'],
    ['EventSkipped', 'Berta'],
  ]);

  const operator = await operatorOn(store);
  await operator.rebuild({});
  expect(await rowsOf('catalogue', id)).toEqual(after);
  await operator.close();
  await follow(store, { ...catalogue, version: catalogue.version + 1 });
  expect(await untilVersion(catalogue.version + 1)).toMatchObject({
    tables: catalogue.version + 1,
    parked: 0,
    error: undefined,
  });
  expect(await rowsOf('catalogue', id)).toEqual(after);
});

test('an event that the tables could apply has no effect either, once it is skipped', async () => {
  const [id, book] = [randomUUID(), randomUUID()];
  const first = await append(authorStream(id), added('Anna'));
  const link = { authorId: id, position: 1, roles: ['author'], creditedAs: null };
  await append(bookStream(book), newEvent('BookAdded', { title: 'B' }), newEvent('BookLinked', link));
  await follow();
  await skip(store, first);
  await append(authorStream(id), renamed('Berta'));
  await caughtUp();
  // What is left of the stream has no beginning.
  expect(await rowsOf('catalogue', id)).toBeUndefined();
  expect(await sql(database.url, 'select stream, revision from catalogue.parked')).toEqual([
    { stream: authorStream(id), revision: '1' },
  ]);
  expect(await sql(database.url, 'select from catalogue.waiting_links')).toHaveLength(1);
  const operator = await operatorOn(store);
  expect(await operator.verify({ onDifference: () => undefined })).toMatchObject({
    differences: 0,
    parked: 1,
  });
  await operator.close();
});

test('a skip of what is not there, or not before it, or not for these tables, changes nothing', async () => {
  const id = randomUUID();
  const stream = authorStream(id);
  await append(stream, added('Anna'));
  const later = { ...renamed('Berta'), stream, revision: 1n };
  for (const event of [
    { id: randomUUID(), stream, revision: 0n },
    { id: randomUUID(), stream: 'policy-x', revision: 0n },
    later,
  ])
    await skip(store, event);
  await append('operations-catalogue', newEvent('TablesPainted', { colour: 'red' }));
  await append(stream, later);
  await follow();
  const row = { name: 'Berta', revision: '1', stale: false };
  expect(await rowsOf('catalogue', id)).toEqual(row);
  expect(await asOf(id, (await store.head()) ?? 0n)).toEqual(row);
  const operator = await operatorOn(store);
  await operator.rebuild({});
  expect(await rowsOf('catalogue', id)).toEqual(row);
  await operator.close();
});

test('tables of an early version, whose skipped events the log does not tell, are followed by newer ones', async () => {
  const id = randomUUID();
  await append(authorStream(id), added('Anna'), renamed(42));
  await follow();
  // As an early version skipped an event.
  await sql(
    database.url,
    'delete from catalogue.parked',
    'update catalogue.authors set stale = false',
    'update catalogue.checkpoint set parked = 0, version = 5',
  );
  await follow();
  expect(await untilVersion(catalogue.version)).toMatchObject({
    tables: catalogue.version,
    parked: 1,
    error: undefined,
  });
  expect(await rowsOf('catalogue', id)).toEqual({ name: 'Anna', revision: '0', stale: true });
});

test('what was remembered of the tables ends with them: as many events are parked after a rebuild, and others', async () => {
  const [bad, good] = [randomUUID(), randomUUID()];
  for (const id of [bad, good]) await append(authorStream(id), added('Anna'));
  await append(authorStream(bad), renamed(42));
  await follow();
  // As an early version skipped an event.
  await sql(
    database.url,
    'delete from catalogue.parked',
    'update catalogue.authors set stale = false',
    'update catalogue.checkpoint set parked = 0',
    `alter table catalogue.authors add constraint never_this check (name <> 'Never this')`,
  );
  await append(authorStream(good), renamed('Never this'));
  await caughtUp();
  expect((await projector?.status())?.parked).toBe(1);
  const operator = await operatorOn(store);
  await sql(database.url, 'alter table catalogue.authors drop constraint never_this');
  await operator.rebuild({ allowParked: true });
  expect((await projector?.status())?.parked).toBe(1);
  await append(authorStream(bad), renamed('Berta'));
  await append(authorStream(good), renamed('Clara'));
  await caughtUp();
  expect(await rowsOf('catalogue', bad)).toEqual({ name: 'Anna', revision: '0', stale: true });
  expect(await rowsOf('catalogue', good)).toEqual({ name: 'Clara', revision: '2', stale: false });
  expect(await operator.verify({ onDifference: () => undefined })).toMatchObject({
    differences: 0,
    parked: 2,
  });
  await operator.close();
});

test('a projector that was at work notices that the tables were built anew at the same position', async () => {
  const id = randomUUID();
  await append(authorStream(id), added('Anna'));
  await follow();
  const build = async () =>
    (await sql<{ build: string }>(database.url, 'select build from catalogue.checkpoint'))[0]?.build;
  const before = await build();
  await sql(database.url, `update catalogue.authors set name = 'Nobody'`);
  const operator = await operatorOn(store);
  await operator.rebuild({});
  const after = await build();
  expect(after).not.toBe(before);
  await append(authorStream(id), renamed('Berta'));
  await caughtUp();
  expect([await build(), (await projector?.status())?.error]).toEqual([after, undefined]);
  expect(await rowsOf('catalogue', id)).toMatchObject({ name: 'Berta' });
  await operator.close();
});

test('a skip of what is not there fails no rebuild, even if the rebuild meets it on the way', async () => {
  const id = randomUUID();
  const stream = authorStream(id);
  await append(stream, added('Anna'));
  const bad = await append(stream, renamed(42));
  await append(stream, renamed('Berta'));
  await follow();
  const onPhase = async (phase: Phase) => {
    if (phase !== 'catching up') return;
    const act = await append('operations-catalogue', newEvent('TablesPainted', { colour: 'red' }));
    await skip(store, { id: randomUUID(), stream, revision: 77n });
    await skip(store, { id: randomUUID(), stream: authorStream(randomUUID()), revision: 0n });
    await skip(store, act);
    // What counts is the id.
    await skip(store, { ...bad, revision: 77n });
    await caughtUp();
  };
  const operator = await operatorOn(store);
  await operator.rebuild({ allowParked: true, onPhase });
  expect(await rowsOf('catalogue', id)).toEqual({ name: 'Berta', revision: '2', stale: false });
  await operator.rebuild({});
  expect(await operator.verify({ onDifference: () => undefined })).toMatchObject({ differences: 0 });
  await operator.close();
});

test('a lock holds up the events behind a skip, and the leader tries again from there', async () => {
  const [bad, locked] = [randomUUID(), randomUUID()];
  for (const id of [bad, locked]) await append(authorStream(id), added('Anna'));
  await follow();
  await projector?.close();
  await skip(store, await append(authorStream(bad), renamed(42)));
  await append(authorStream(locked), renamed('Berta'));
  const reader = new Client({ connectionString: database.url });
  await reader.connect();
  await reader.query(`begin; select from catalogue.authors where id = '${locked}' for update`);
  let leads = 0;
  projector = new Projector(catalogue, store, pool, {
    connectionString: database.url,
    schema: 'catalogue',
    connect: (...args: Parameters<typeof connect>) => {
      leads += 1;
      return connect(...args);
    },
  });
  await projector.start();
  const tries = new Set<string>();
  while (tries.size < 2) {
    const waiting = await sql<{ since: string }>(
      database.url,
      `select xact_start::text as since from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'`,
    );
    for (const { since } of waiting) tries.add(since);
    await new Promise((again) => setTimeout(again, 20));
  }
  await reader.query('commit');
  await reader.end();
  await caughtUp();
  expect(leads).toBe(1);
  expect(await rowsOf('catalogue', bad)).toEqual({ name: 'Anna', revision: '0', stale: false });
  expect(await rowsOf('catalogue', locked)).toEqual({ name: 'Berta', revision: '1', stale: false });
});

test('what an operator did to the tables is told after it took effect, and changes no table', async () => {
  const id = randomUUID();
  const stream = authorStream(id);
  await append(stream, added('Anna'));
  await follow();
  const operator = await operatorOn(store);
  const verify = { onDifference: () => undefined };
  const tables = { projection: 'catalogue', schema: 'catalogue', version: catalogue.version };
  const position = expect.stringMatching(/^\d+\.[\da-f]{8}$/);
  await operator.rebuild({ by });
  await caughtUp();
  expect(await operator.verify(verify)).toMatchObject({ differences: 0 });
  expect(await acts()).toMatchObject([
    {
      type: 'TablesRebuilt',
      data: { ...tables, position, events: 1, parked: 0, rows: 0 },
      metadata: { actor: 'Ümit', reason: 'a test', correlationId: 'maintenance 7' },
    },
  ]);

  // What changes no table, and what no operator asked for, is no act.
  await operator.verify({ ...verify, repair: true, by });
  await operator.buildAsOf({ position: 1n }, 'as_of', false, {});
  await sql(database.url, `alter table catalogue.authors add constraint not_berta check (name <> 'Berta')`);
  await append(stream, renamed('Berta'));
  await caughtUp();
  expect(await operator.retry(stream, { by })).toHaveLength(1);
  expect(await acts()).toHaveLength(1);

  await sql(database.url, 'alter table catalogue.authors drop constraint not_berta');
  expect(await operator.retry(stream, { by })).toEqual([]);
  await sql(database.url, `update catalogue.authors set name = 'Nobody'`);
  expect(await operator.verify({ ...verify, repair: true, by })).toMatchObject({ repaired: 1 });
  expect((await acts()).slice(1)).toMatchObject([
    { type: 'ParkedRetried', data: { ...tables, stream, applied: 1, parked: 0 } },
    { type: 'TablesRepaired', data: { ...tables, position, rows: 1 } },
  ]);
  await caughtUp();
  expect(await operator.verify(verify)).toMatchObject({ differences: 0, parked: 0 });
  expect(await rowsOf('catalogue', id)).toEqual({ name: 'Berta', revision: '1', stale: false });

  await follow(store, { ...catalogue, version: catalogue.version + 1 });
  expect(await untilVersion(catalogue.version + 1)).toMatchObject({ error: undefined });
  expect(await acts()).toHaveLength(3);
  await operator.close();
});

test('if the log can’t be told of an act, the act stays, and whoever asked hears of it', async () => {
  const id = randomUUID();
  await append(authorStream(id), added('Anna'));
  await follow();
  const refuse = () => Promise.reject(new EventStoreUnavailable(new Error('away')));
  const deaf = Object.assign(Object.create(store) as EventStore, { append: refuse });
  const operator = await operatorOn(store, deaf);
  const untold = expect.stringMatching(/^the tables of catalogue are rebuilt, but the log may not tell so: /);
  await sql(database.url, `update catalogue.authors set name = 'Nobody'`);
  await expect(operator.rebuild({ by })).rejects.toThrow(expect.objectContaining({ message: untold }));
  expect(await rowsOf('catalogue', id)).toMatchObject({ name: 'Anna' });

  const job = await operator.startRebuild({ by });
  let ended = await operator.rebuildOf(job);
  while (!ended?.endedAt) ended = await operator.rebuildOf(job);
  expect(ended).toMatchObject({ phase: 'failed', error: untold });

  await sql(database.url, `update catalogue.authors set name = 'Nobody'`);
  await expect(operator.verify({ onDifference: () => undefined, repair: true, by })).rejects.toThrow(
    /^1 rows of catalogue are repaired, but the log may not tell so: /,
  );
  expect(await operator.verify({ onDifference: () => undefined })).toMatchObject({ differences: 0 });
  expect(await acts()).toEqual([]);
  await operator.close();
});
