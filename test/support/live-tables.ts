import type { Pool } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { Maintenance } from '../../projections/maintenance.js';
import type { Projection } from '../../projections/projection.js';
import { Projector } from '../../projections/projector.js';
import { authorStream } from '../../src/authors/author.events.js';
import { bookStream } from '../../src/books/book.events.js';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { createPool } from '../../src/postgres/database.js';
import { createDatabase, sql, type TestDatabase } from './database.js';
import { newEvent } from './events.js';

export const id = (kind: 'a' | 'b', n: number) =>
  `00000000-0000-7000-8000-${kind}${String(n).padStart(11, '0')}`;
export const link = (n: number) => ({
  authorId: id('a', n),
  position: 1,
  roles: ['author'],
  creditedAs: null,
});

/** The tables of 20 authors and books in a database of their own, and the projector that keeps them up. */
export class LiveTables {
  readonly maintenance: Maintenance;
  /** Closed at the end. A test may put another one in its place. */
  projector: Projector;

  private constructor(
    readonly database: TestDatabase,
    readonly pool: Pool,
    readonly store: PostgresEventStore,
    private readonly log: string,
  ) {
    this.maintenance = this.operatorOf(catalogue);
    this.projector = this.projectorOf(catalogue);
  }

  static async make(): Promise<LiveTables> {
    const database = await createDatabase();
    const store = new PostgresEventStore(database.url);
    const tables = new LiveTables(database, createPool(database.url), store, await store.logId());
    await tables.projector.start();
    for (let n = 0; n < 20; n += 1) {
      await store.append(authorStream(id('a', n)), 'no-stream', [
        newEvent('AuthorAdded', { name: `Author ${n}` }),
      ]);
      await store.append(bookStream(id('b', n)), 'no-stream', [
        newEvent('BookAdded', { title: `Book ${n}` }),
        newEvent('BookLinked', link(n)),
      ]);
    }
    await store.append(authorStream(id('a', 1)), 0n, [newEvent('AuthorRemoved', {})]);
    await store.append(bookStream(id('b', 2)), 1n, [newEvent('BookRemoved', {})]);
    await tables.caughtUp();
    return tables;
  }

  async close(): Promise<void> {
    await this.projector.close();
    await this.maintenance.close();
    await this.store.close();
    await this.pool.end();
    await this.database.drop();
  }

  operatorOf(projection: Projection): Maintenance {
    const { log, store, pool, database } = this;
    const target = { projection, schema: 'catalogue', log };
    return new Maintenance({ target, store, pool, connectionString: database.url });
  }

  projectorOf(projection: Projection): Projector {
    const { store, pool, database } = this;
    return new Projector(projection, store, pool, { connectionString: database.url, schema: 'catalogue' });
  }

  async caughtUp(): Promise<void> {
    const head = await this.store.head();
    expect(head !== undefined && (await this.projector.reached(head, 30_000))).toBe(true);
  }

  /** Names of the schemas that belong to the tables, those of rebuilds included. */
  async schemas(): Promise<string[]> {
    const rows = await sql<{ name: string }>(
      this.database.url,
      `select nspname as name from pg_namespace where nspname ~ '^(catalogue|as_of|colophon)' order by 1`,
    );
    return rows.map(({ name }) => name);
  }

  /** What tells whether a row was written, even with the same values. */
  versions(...tables: string[]): Promise<(string | string[])[][]> {
    return Promise.all(
      tables.map(async (table) => {
        const text = `select xmin::text || ctid::text as at from catalogue.${table}`;
        const rows = await sql<{ at: string }>(this.database.url, text);
        return [table, rows.map(({ at }) => at).toSorted()];
      }),
    );
  }
}
