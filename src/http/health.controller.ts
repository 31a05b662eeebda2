import { Controller, Get } from '@nestjs/common';
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
  constructor(private readonly dependencies: Dependencies) {}

  @Get('live')
  @DescribeQuery({ summary: 'The process answers', tag: 'operation', access: 'anyone', answer: healthy })
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
  async ready(): Promise<z.output<typeof healthy>> {
    await this.dependencies.check();
    return { status: 'ok' };
  }
}
