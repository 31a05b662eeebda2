import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { CqrsModule } from '@nestjs/cqrs';
import { CatalogueController } from '../projections/catalogue/catalogue.controller.js';
import { catalogue } from '../projections/catalogue/catalogue.projection.js';
import { countBooksOfAuthor } from '../projections/catalogue/count-books-of-author.js';
import { GetAuthorHandler } from '../projections/catalogue/get-author.js';
import { GetBookHandler } from '../projections/catalogue/get-book.js';
import { ListAuthorsHandler } from '../projections/catalogue/list-authors.js';
import { ListBooksHandler } from '../projections/catalogue/list-books.js';
import { ListAuthorsOfBookHandler, ListBooksOfAuthorHandler } from '../projections/catalogue/list-links.js';
import { CataloguePool, ReadModel } from '../projections/catalogue/read-model.js';
import { MinPositionGuard, ReadYourWrites } from '../projections/min-position.guard.js';
import { ProjectionsController } from '../projections/projections.controller.js';
import { Projector } from '../projections/projector.js';
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
import type { Config } from './config.js';
import { EventStore } from './event-store/event-store.js';
import { CommandHandling } from './event-store/handle-command.js';
import { PostgresEventStore } from './event-store/postgres/postgres-event-store.js';
import { HealthController } from './http/health.controller.js';
import { ProblemFilter } from './http/problem.filter.js';
import { Importer } from './imports/importer.js';
import { ImportsController } from './imports/imports.controller.js';
import { createPool } from './postgres/database.js';
import { EmbeddedServer } from './postgres/embedded/embedded-server.js';
import { migrate } from './postgres/migrate.js';
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
        MinPositionGuard,
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
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

/**
 * Opens everything the configuration names and starts projecting.
 * @throws StartupError for what the operator can mend.
 */
export async function openBackbone(config: Config): Promise<Backbone> {
  textLimit.characters = config.maxTextLength;
  const embedded = config.databaseUrl === undefined ? await EmbeddedServer.start(config.dataDir) : undefined;
  const databaseUrl = embedded?.url ?? config.databaseUrl ?? '';
  const closing: (() => Promise<unknown>)[] = [async () => embedded?.stop()];
  const close = async () => {
    for (const part of closing.splice(0).reverse()) await part();
  };
  try {
    await migrate(databaseUrl);
    const store = new PostgresEventStore(databaseUrl);
    closing.push(() => store.close());
    const pool = createPool(databaseUrl, { searchPath: `${catalogue.name},public` });
    closing.push(() => pool.end());
    const projector = new Projector(catalogue, store, pool, { connectionString: databaseUrl });
    closing.push(() => projector.close());
    await projector.start();
    const booksOfAuthor: BooksOfAuthor = { count: (id) => countBooksOfAuthor(id, pool, store, projector) };
    const module = AppModule.with(
      { provide: EventStore, useValue: store },
      { provide: CataloguePool, useValue: { pool } },
      { provide: Projector, useValue: projector },
      { provide: ReadYourWrites, useValue: { patienceMs: config.minPositionWaitMs } },
      { provide: BooksOfAuthor, useValue: booksOfAuthor },
    );
    return { module, databaseUrl, store, projector, close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}
