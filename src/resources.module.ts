import { Module, type DynamicModule, type Provider } from '@nestjs/common';
import { BooksOfAuthorInTables } from '../projections/catalogue/books-of-author.js';
import { explain } from '../projections/catalogue/explain.js';
import { CataloguePool, ListPool } from '../projections/catalogue/read-model.js';
import { FindEvents } from '../projections/changes/find-events.js';
import { ReadYourWrites } from '../projections/min-position.guard.js';
import { Projections } from '../projections/projections.js';
import { Projector } from '../projections/projector.js';
import { standingOf } from '../projections/standing.js';
import { EventSearch } from './event-store/event-search.js';
import { RowChanges } from './audit/row-changes.js';
import { BooksOfAuthor } from './authors/books-of-author.js';
import { ChangeProgress } from './changes/change-progress.js';
import { LinkedBooks } from './changes/linked-books.js';
import { IdempotencyKeys } from './commands/idempotency-keys.js';
import { EventStore } from './event-store/event-store.js';
import { PositionTokens } from './event-store/position-token.js';
import { StreamSearch } from './event-store/stream-search.js';
import { Dependencies } from './http/health.controller.js';
import { StreamLimits } from './http/limits.js';
import { Schemas } from './http/schemas.js';
import { Policies } from './policies/policies.js';
import { PolicyTables } from './policies/policy-tables.js';
import { standingOfPolicies } from './policies/standing.js';
import { checkReady } from './readiness.js';
import type { Resources } from './resources.js';
import { Watched } from './telemetry/gauges.js';

/** Offers resources that outlive requests to every module. Also wires the questions of `src/` to the read side. */
@Module({})
export class ResourcesModule {
  static of(resources: Resources): DynamicModule {
    const {
      config,
      store,
      tokens,
      pool,
      maintenance,
      projector,
      changesProjector,
      policies,
      policyTables,
      policyProgress,
      streams,
      linkedBooks,
      keys,
      reads,
      lists,
      searches,
    } = resources;
    const booksOfAuthor: BooksOfAuthor = new BooksOfAuthorInTables(pool, store, projector);
    const rowChanges: RowChanges = {
      of: (table, key, caller) => explain(store, table, key, undefined, caller),
    };
    const patienceMs = config.minPositionWaitMs;
    const eventSearch: EventSearch = new FindEvents(searches, store, changesProjector, patienceMs);
    const projections = new Projections(
      [projector, changesProjector].flatMap((one) => {
        const found = maintenance.find(({ name }) => name === one.projection.name);
        return found ? { projector: one, maintenance: found } : [];
      }),
    );
    const watched: Watched = {
      followers: [...projections.all.map(standingOf), standingOfPolicies(policies, policyTables)],
    };
    const dependencies: Dependencies = { check: () => checkReady(resources) };
    const providers: Provider[] = [
      { provide: EventStore, useValue: store },
      { provide: IdempotencyKeys, useValue: keys },
      { provide: PositionTokens, useValue: tokens },
      { provide: Schemas, useValue: new Schemas(config.maxTextLength, tokens) },
      { provide: CataloguePool, useValue: { pool: reads } },
      { provide: ListPool, useValue: { pool: lists } },
      { provide: Projector, useValue: projector },
      { provide: Projections, useValue: projections },
      { provide: ReadYourWrites, useValue: { patienceMs } },
      { provide: BooksOfAuthor, useValue: booksOfAuthor },
      { provide: RowChanges, useValue: rowChanges },
      { provide: EventSearch, useValue: eventSearch },
      { provide: ChangeProgress, useValue: policyProgress },
      { provide: Policies, useValue: policies },
      { provide: PolicyTables, useValue: policyTables },
      { provide: StreamSearch, useValue: streams },
      { provide: LinkedBooks, useValue: linkedBooks },
      { provide: Dependencies, useValue: dependencies },
      { provide: StreamLimits, useValue: config },
      { provide: Watched, useValue: watched },
    ];
    return { module: ResourcesModule, global: true, providers, exports: providers };
  }
}
