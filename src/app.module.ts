import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { CqrsModule } from '@nestjs/cqrs';
import type { Pool } from 'pg';
import { CatalogueController } from '../projections/catalogue/catalogue.controller.js';
import { catalogue } from '../projections/catalogue/catalogue.projection.js';
import { countBooksOfAuthor } from '../projections/catalogue/count-books-of-author.js';
import { GetAuthorHandler } from '../projections/catalogue/get-author.js';
import { GetBookHandler } from '../projections/catalogue/get-book.js';
import { ListAuthorsHandler } from '../projections/catalogue/list-authors.js';
import { ListBooksHandler } from '../projections/catalogue/list-books.js';
import { ListAuthorsOfBookHandler, ListBooksOfAuthorHandler } from '../projections/catalogue/list-links.js';
import { Past } from '../projections/catalogue/as-of.js';
import { RowsController } from '../projections/catalogue/rows.controller.js';
import { CataloguePool, ReadModel } from '../projections/catalogue/read-model.js';
import { TablesOfAnotherLog } from '../projections/checkpoint.js';
import { MinPositionGuard, ReadYourWrites } from '../projections/min-position.guard.js';
import { Operator } from '../projections/operator.js';
import { ProjectionsController } from '../projections/projections.controller.js';
import { Projector } from '../projections/projector.js';
import { differingTables } from '../projections/same-tables.js';
import { AuditController } from './audit/audit.controller.js';
import { AddAuthorHandler } from './authors/add-author.js';
import { Authors } from './authors/authors.js';
import { AuthorsController } from './authors/authors.controller.js';
import { BooksOfAuthor } from './authors/books-of-author.js';
import { RemoveAuthorHandler } from './authors/remove-author.js';
import { RenameAuthorHandler } from './authors/rename-author.js';
import { RestoreAuthorHandler } from './authors/restore-author.js';
import { AddBookHandler } from './books/add-book.js';
import { Books } from './books/books.js';
import { BooksController } from './books/books.controller.js';
import { LinkAuthorHandler } from './books/link-author.js';
import { RemoveBookHandler } from './books/remove-book.js';
import { ReorderAuthorsHandler } from './books/reorder-authors.js';
import { RestoreBookHandler } from './books/restore-book.js';
import { RetitleBookHandler } from './books/retitle-book.js';
import { UnlinkAuthorHandler } from './books/unlink-author.js';
import { StartupError, type Config } from './config.js';
import { EventStore, nameLog } from './event-store/event-store.js';
import { EventStoreDbEventStore } from './event-store/eventstoredb/eventstoredb-event-store.js';
import { CommandHandling } from './event-store/handle-command.js';
import { PostgresEventStore } from './event-store/postgres/postgres-event-store.js';
import { Dependencies, HealthController } from './http/health.controller.js';
import { unavailable } from './http/problem.js';
import { ProblemFilter } from './http/problem.filter.js';
import { Importer } from './imports/importer.js';
import { ImportsController } from './imports/imports.controller.js';
import { createPool } from './postgres/database.js';
import { EmbeddedServer } from './postgres/embedded/embedded-server.js';
import { checkServer, migrate } from './postgres/migrate.js';
import { textLimit } from './text.js';

const COMMANDS: Type[] = [
  AddAuthorHandler,
  RenameAuthorHandler,
  RemoveAuthorHandler,
  RestoreAuthorHandler,
  AddBookHandler,
  RetitleBookHandler,
  RemoveBookHandler,
  RestoreBookHandler,
  LinkAuthorHandler,
  UnlinkAuthorHandler,
  ReorderAuthorsHandler,
];
const QUERIES: Type[] = [
  GetAuthorHandler,
  GetBookHandler,
  ListAuthorsHandler,
  ListBooksHandler,
  ListBooksOfAuthorHandler,
  ListAuthorsOfBookHandler,
];
const CONTROLLERS: Type[] = [
  AuthorsController,
  BooksController,
  ImportsController,
  AuditController,
  RowsController,
  CatalogueController,
  ProjectionsController,
  HealthController,
];

/** The composition root: the one place that knows which event store there is, and that joins both sides. */
@Module({})
export class AppModule {
  static with(...parts: Provider[]): DynamicModule {
    return {
      module: AppModule,
      imports: [CqrsModule.forRoot()],
      controllers: CONTROLLERS,
      providers: [
        ...parts,
        ...COMMANDS,
        ...QUERIES,
        CommandHandling,
        Authors,
        Books,
        Importer,
        ReadModel,
        Past,
        MinPositionGuard,
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}

export { OperatorError } from '../projections/operator-error.js';
export type { RebuildProgress } from '../projections/rebuild.js';

/** Databases, log and tables, with nobody projecting: what an operator works with. */
export interface Tables {
  readonly databaseUrl: string;
  readonly store: EventStore;
  readonly pool: Pool;
  readonly operator: Operator;
  /** What `close` ends, in the reverse order. */
  readonly closing: (() => Promise<unknown>)[];
  readonly close: () => Promise<void>;
}

/**
 * Opens what the configuration names.
 * @throws StartupError for what the operator can mend.
 */
export async function openTables(config: Config): Promise<Tables> {
  const database = await openDatabase(config);
  const closing: (() => Promise<unknown>)[] = [database.close];
  const close = async () => {
    for (const part of closing.splice(0).reverse()) await part();
  };
  try {
    await checkServer(database.url);
    const store = await openStore(config.eventStoreDbUrl ?? database.url, config.eventStoreDbPrefix);
    closing.push(() => store.close());
    const log = await store.logId();
    nameLog(log);
    const schema = config.catalogueSchema;
    const pool = createPool(database.url, { searchPath: `${schema},public` });
    closing.push(() => pool.end());
    const target = { projection: catalogue, schema, log };
    const operator = new Operator({ target, store, pool, connectionString: database.url });
    closing.push(() => operator.close());
    return { databaseUrl: database.url, store, pool, operator, closing, close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/** What outlives requests: databases, store and projector, opened in order and closed in the reverse. */
export interface Backbone {
  readonly module: DynamicModule;
  readonly databaseUrl: string;
  readonly store: EventStore;
  readonly projector: Projector;
  readonly close: () => Promise<void>;
}

/** The database that is configured, or the embedded one, started. */
export async function openDatabase(config: Config): Promise<{ url: string; close: () => Promise<void> }> {
  if (config.databaseUrl !== undefined) return { url: config.databaseUrl, close: async () => undefined };
  const embedded = await EmbeddedServer.start(config.dataDir);
  return { url: embedded.url, close: () => embedded.stop() };
}

/**
 * The event store at a URL, ready for use.
 * @param url `esdb://…`, or of a PostgreSQL, which is migrated.
 * @throws StartupError where it can't be reached.
 */
export async function openStore(url: string, prefix: string): Promise<EventStore> {
  if (!url.startsWith('esdb')) {
    await migrate(url);
    return new PostgresEventStore(url);
  }
  let store: EventStore | undefined;
  try {
    store = new EventStoreDbEventStore(url, prefix);
    await store.logId();
    return store;
  } catch (error) {
    await store?.close();
    const { message } = ((error as Error).cause ?? error) as Error;
    throw new StartupError(`can't use EventStoreDB at ${url.replace(/:[^:@/]*@/, ':***@')}: ${message}`);
  }
}

/**
 * Opens everything the configuration names and starts projecting.
 * @throws StartupError for what the operator can mend.
 */
export async function openBackbone(config: Config): Promise<Backbone> {
  textLimit.characters = config.maxTextLength;
  const { databaseUrl, store, pool, operator, closing, close } = await openTables(config);
  try {
    const projector = new Projector(catalogue, store, pool, {
      connectionString: databaseUrl,
      schema: config.catalogueSchema,
    });
    closing.push(() => projector.close());
    await projector.start();
    const booksOfAuthor: BooksOfAuthor = { count: (id) => countBooksOfAuthor(id, pool, store, projector) };
    const dependencies: Dependencies = {
      check: async () => {
        await Promise.all([store.head(), projector.status()]);
        if (!projector.readable) throw unavailable('The tables are being rebuilt for this version.');
      },
    };
    const module = AppModule.with(
      { provide: EventStore, useValue: store },
      { provide: CataloguePool, useValue: { pool } },
      { provide: Projector, useValue: projector },
      { provide: Operator, useValue: operator },
      { provide: ReadYourWrites, useValue: { patienceMs: config.minPositionWaitMs } },
      { provide: BooksOfAuthor, useValue: booksOfAuthor },
      { provide: Dependencies, useValue: dependencies },
    );
    return { module, databaseUrl, store, projector, close };
  } catch (error) {
    await close().catch(() => undefined);
    if (!(error instanceof TablesOfAnotherLog)) throw error;
    throw new StartupError(
      `${error.message}; fill them from this one with \`colophon rebuild\`, or set CATALOGUE_SCHEMA to another schema`,
    );
  }
}

/**
 * Builds the read tables from each of two logs, aside, and compares them.
 * @returns the names of tables that differ.
 */
export async function differencesOfTables(
  stores: readonly [EventStore, EventStore],
  databaseUrl: string,
): Promise<string[]> {
  const pool = createPool(databaseUrl);
  try {
    const context = (store: EventStore, log: string) => ({
      target: { projection: catalogue, schema: catalogue.name, log },
      store,
      pool,
      connectionString: databaseUrl,
    });
    const [a, b] = stores;
    return await differingTables([context(a, await a.logId()), context(b, await b.logId())]);
  } finally {
    await pool.end();
  }
}
