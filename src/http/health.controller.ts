import { Controller, Get } from '@nestjs/common';
import { z } from 'zod';
import { EventStore } from '../event-store/event-store.js';
import { DescribeQuery } from './describe.js';

const healthy = z.object({ status: z.literal('ok') });

@Controller('health')
export class HealthController {
  constructor(private readonly store: EventStore) {}

  @Get('live')
  @DescribeQuery({ summary: 'The process answers', tag: 'operation', answer: healthy })
  live(): z.output<typeof healthy> {
    return { status: 'ok' };
  }

  @Get('ready')
  @DescribeQuery({ summary: 'Commands and queries can be served', tag: 'operation', answer: healthy })
  async ready(): Promise<z.output<typeof healthy>> {
    await this.store.head();
    return { status: 'ok' };
  }
}
