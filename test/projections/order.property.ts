import fc from 'fast-check';
import type { Pool } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { Maintenance } from '../../projections/maintenance.js';
import { Projector } from '../../projections/projector.js';
import type { EventStore } from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { transfer } from '../../src/event-store/transfer.js';
import { createPool } from '../../src/postgres/database.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { newEvent } from '../support/events.js';
import { live, steps, type Step } from '../support/history.js';
import { rebatched } from '../support/rebatched.js';
import { dumpTables, expectedTables, readTables } from '../support/tables.js';

/** An empty store in a database, or beside it. */
export type MakeStore = (databaseUrl: string) => Promise<{ store: EventStore; drop: () => Promise<void> }>;

interface Case {
  readonly history: Step[];
  readonly sizes: number[];
  readonly restarts: number[];
  /** Where events are slipped in that no command would write. */
  readonly misfits: number[];
}

const cases: fc.Arbitrary<Case> = fc.record({
  history: steps,
  sizes: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 }),
  restarts: fc.array(fc.nat(40), { maxLength: 3 }),
  misfits: fc.array(fc.nat(40), { maxLength: 2 }),
});

/**
 * Random histories, with events among them that can't be applied, give the same tables byte for byte: in batches of any
 * size, with restarts anywhere, projected as they come or rebuilt, from whatever store.
 */
/** Each case projects, rebuilds and copies; a busy machine takes minutes for twenty. */
const LONG_MS = 600_000;

export function orderDoesNotMatter(numRuns: number, makeStore: MakeStore): void {
  let database: TestDatabase;
  let pool: Pool;
  beforeAll(async () => {
    database = await createDatabase();
    pool = createPool(database.url);
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });

  async function project(store: EventStore, schema: string, to: bigint | undefined): Promise<void> {
    const projector = new Projector(catalogue, store, pool, { connectionString: database.url, schema });
    await projector.start();
    if (to !== undefined) expect(await projector.reached(to, 30_000)).toBe(true);
    await projector.close();
  }

  async function rebuilt(store: EventStore, schema: string): Promise<string> {
    const target = { projection: catalogue, schema, log: await store.logId() };
    const maintenance = new Maintenance({ target, store, pool, connectionString: database.url });
    await maintenance.rebuild({ allowParked: true });
    return dumpTables(database.url, schema);
  }

  /** Positions are their log's own. */
  const withoutPositions = (dump: string) => dump.replaceAll(/"position": \d+, "revision"/g, '"revision"');

  test(
    'the tables are the same, byte for byte, however they came to be',
    () =>
      fc.assert(
        fc.asyncProperty(cases, async ({ history, sizes, restarts, misfits }) => {
          // First, since a case that failed left its own.
          await sql(
            database.url,
            ...['live', 'singly', 'rebuilt', 'copied'].map(
              (schema) => `drop schema if exists ${schema} cascade`,
            ),
          );
          const memory = new MemoryEventStore();
          const world = await live(memory, history);
          for (const misfit of misfits) await slipIn(memory, misfit);
          const head = await memory.head();

          for (const restart of restarts.toSorted((a, b) => a - b))
            if (BigInt(restart) < (head ?? 0n) && restart > 0)
              await project(rebatched(memory, sizes), 'live', BigInt(restart));
          await project(rebatched(memory, sizes), 'live', head);
          const tables = await dumpTables(database.url, 'live');
          if (misfits.length === 0)
            expect(await readTables(database.url, 'live')).toMatchObject(expectedTables(world));

          await project(rebatched(memory, [1]), 'singly', head);
          expect(await dumpTables(database.url, 'singly')).toEqual(tables);
          expect(await rebuilt(memory, 'rebuilt')).toEqual(tables);
          // And over what is there.
          expect(await rebuilt(memory, 'live')).toEqual(tables);

          const { store, drop } = await makeStore(database.url);
          for await (const _ of transfer(memory, store));
          await project(store, 'copied', await store.head());
          const copied = await dumpTables(database.url, 'copied');
          expect(withoutPositions(copied)).toEqual(withoutPositions(tables));
          expect(await rebuilt(store, 'copied')).toEqual(copied);
          await drop();
        }),
        { numRuns },
      ),
    LONG_MS,
  );
}

const A = '00000000-0000-7000-8000-a00000000000';
const link = { authorId: A, position: 1, roles: ['author'], creditedAs: null };

/** Appends to some stream of the log an event that can't be applied, and one that could. */
async function slipIn(store: MemoryEventStore, where: number): Promise<void> {
  const streams = new Map<string, bigint>();
  for await (const events of store.readAll())
    for (const { stream, revision } of events) streams.set(stream, revision);
  const [stream, revision] = [...streams][where % Math.max(1, streams.size)] ?? [];
  if (stream === undefined || revision === undefined) return;
  const misfits = [
    newEvent('AuthorAdded', { name: 'Again' }),
    newEvent('BookLinked', { authorId: 'nobody', position: 1, roles: ['author'], creditedAs: null }),
    newEvent('BookRetitled', { title: 'with \0' }),
    newEvent('Unheard', {}),
    newEvent('AuthorsReordered', { authorIds: [A, A] }),
    { ...newEvent('BookLinked', link), metadata: { ...newEvent().metadata, actor: undefined as never } },
    newEvent('BookLinkChanged', { ...link, roles: ['null'] }),
  ];
  const none = 'no-stream' as const;
  if (where % 5 === 0)
    await store.append(`author-nobody-${where}`, none, [newEvent()]).catch(() => undefined);
  if (where % 5 === 1)
    await store.append(`policy-${where}`, none, [newEvent('Decided')]).catch(() => undefined);
  const misfit = misfits[where % misfits.length] ?? newEvent('Unheard');
  const name = { name: 'Later', title: 'Later' };
  const later = newEvent(stream.startsWith('author') ? 'AuthorRenamed' : 'BookRetitled', name);
  await store.append(stream, revision, [misfit, later]);
}
