import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { HealthController } from './health.controller.js';
import { HomeController } from './home.controller.js';
import { ProblemFilter } from './problem.filter.js';

/** What the service answers of itself, whatever its features: home page, health and problems. */
@Module({
  controllers: [HomeController, HealthController],
  providers: [{ provide: APP_FILTER, useClass: ProblemFilter }],
})
export class HttpModule {}
