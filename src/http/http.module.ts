import { Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { HealthController } from './health.controller.js';
import { HomeController } from './home.controller.js';
import { StreamLimits, Streams } from './limits.js';
import { OfferGuard } from './offer.guard.js';
import { ProblemFilter } from './problem.filter.js';

/** The routes that depend on no feature (home page, health), what every route refuses, and problems as answers to errors. */
@Module({
  controllers: [HomeController, HealthController],
  providers: [
    { provide: Streams, useFactory: (limits: StreamLimits) => new Streams(limits), inject: [StreamLimits] },
    { provide: APP_FILTER, useClass: ProblemFilter },
    { provide: APP_GUARD, useClass: OfferGuard },
  ],
})
export class HttpModule {}
