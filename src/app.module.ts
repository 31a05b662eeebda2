import { Module, type DynamicModule } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import { CatalogueModule } from '../projections/catalogue/catalogue.module.js';
import { ProjectionsModule } from '../projections/projections.module.js';
import { AuditModule } from './audit/audit.module.js';
import { AuthorsModule } from './authors/authors.module.js';
import { BooksModule } from './books/books.module.js';
import { ChangesModule } from './changes/changes.module.js';
import { HttpModule } from './http/http.module.js';
import { ImportsModule } from './imports/imports.module.js';
import { OperationsModule } from './operations/operations.module.js';
import { PoliciesModule } from './policies/policies.module.js';
import type { Resources } from './resources.js';
import { ResourcesModule } from './resources.module.js';
import { MetricsModule } from './telemetry/metrics.module.js';

/** All of Colophon, on open resources. */
@Module({})
export class AppModule {
  static of(resources: Resources): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ResourcesModule.of(resources),
        CqrsModule.forRoot(),
        HttpModule,
        AuthorsModule,
        BooksModule,
        ImportsModule,
        OperationsModule,
        ChangesModule,
        PoliciesModule,
        AuditModule,
        CatalogueModule,
        ProjectionsModule,
        ...(resources.config.metrics ? [MetricsModule] : []),
      ],
    };
  }
}
