import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { HealthController } from './health.controller.js';
import { HomeController } from './home.controller.js';
import { ProblemFilter } from './problem.filter.js';

/** The routes that depend on no feature (home page, health), and problems as answers to errors. */
@Module({
  controllers: [HomeController, HealthController],
  providers: [{ provide: APP_FILTER, useClass: ProblemFilter }],
})
export class HttpModule {}
