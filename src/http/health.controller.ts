import { Controller, Get } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { z } from 'zod';
import { DescribeQuery } from './describe.js';

const healthy = z.object({ status: z.literal('ok') });

/** Checks everything that commands and queries depend on. Wired in `resources.module.ts`. */
export abstract class Dependencies {
  /** @throws if a dependency is unavailable. */
  abstract check(): Promise<unknown>;
}

@Controller('health')
export class HealthController {
  private checking: Promise<unknown> | undefined;

  constructor(private readonly dependencies: Dependencies) {}

  @Get('live')
  @DescribeQuery({ summary: 'The process answers', tag: 'operation', access: 'anyone', answer: healthy })
  @RouteConfig({ probe: true })
  live(): z.output<typeof healthy> {
    return { status: 'ok' };
  }

  @Get('ready')
  @DescribeQuery({
    summary: 'Commands and queries can be served',
    tag: 'operation',
    access: 'anyone',
    answer: healthy,
  })
  @RouteConfig({ probe: true })
  async ready(): Promise<z.output<typeof healthy>> {
    // All who ask at the same time share one check, so that probes can't crowd the database.
    this.checking ??= this.dependencies.check().finally(() => (this.checking = undefined));
    await this.checking;
    return { status: 'ok' };
  }
}
