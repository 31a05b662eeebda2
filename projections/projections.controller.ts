import { Controller, Get } from '@nestjs/common';
import { z } from 'zod';
import { EventStore, formatPosition } from '../src/event-store/event-store.js';
import { DescribeQuery } from '../src/http/describe.js';
import { Projector } from './projector.js';

const projectionView = z.object({
  name: z.string(),
  version: z.int(),
  position: z.string().nullable().describe('of the last event in the tables; null before the first'),
  head: z.string().nullable().describe('of the last event in the log; null while it is empty'),
  lag: z.int().describe('how far the position is behind the head; 0 when caught up'),
  active: z.boolean().describe('whether this process projects; otherwise it stands by'),
  error: z.string().nullable().describe('what keeps the projection from going on'),
});
const projectionList = z.object({ items: z.array(projectionView) });

@Controller('projections')
export class ProjectionsController {
  constructor(
    private readonly projector: Projector,
    private readonly store: EventStore,
  ) {}

  @Get()
  @DescribeQuery({ summary: 'How far the tables are', tag: 'operation', answer: projectionList })
  async listProjections(): Promise<z.output<typeof projectionList>> {
    const { position, error, ...rest } = await this.projector.status();
    // Read after the position, so that the lag is never negative.
    const head = await this.store.head();
    return {
      items: [
        {
          ...rest,
          position: position === undefined ? null : formatPosition(position),
          head: head === undefined ? null : formatPosition(head),
          lag: Number((head ?? 0n) - (position ?? 0n)),
          error: error ?? null,
        },
      ],
    };
  }
}
