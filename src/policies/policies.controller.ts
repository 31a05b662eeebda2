import { Controller, Get } from '@nestjs/common';
import { z } from 'zod';
import { EventStore } from '../event-store/event-store.js';
import { lagOf } from '../event-store/lag.js';
import { PositionTokens } from '../event-store/position-token.js';
import { DescribeQuery } from '../http/describe.js';
import { Policies } from './policies.js';
import { PolicyTables } from './policy-tables.js';

const MOST_SHOWN = 100;

const openTask = z.object({
  change: z.string(),
  what: z.string().describe('type of the event that is carried out'),
  done: z.int().describe('authors and books that were changed so far'),
  parked: z.int().describe('authors and books for which this failed'),
  begunAt: z.iso.datetime(),
});
const parkedStream = z.object({
  stream: z.string(),
  change: z.string(),
  what: z.string().describe('type of the event that could not be carried out in the stream'),
  position: z.string().describe('position of that event'),
  error: z.string(),
  parkedAt: z.iso.datetime(),
});
const policiesView = z.object({
  position: z
    .string()
    .nullable()
    .describe('how far policies have followed the log; null before the first event'),
  head: z.string().nullable().describe('position of the last event in the log; null if the log is empty'),
  lag: z.int().describe('how far the position is behind the head; 0 when caught up'),
  lagSeconds: z
    .number()
    .nullable()
    .describe('age of the oldest event that policies do not know; 0 when caught up; null if unknown'),
  active: z.boolean().describe('whether this process is the leader; otherwise it is a standby'),
  error: z.string().nullable().describe('what policies wait for, or what stops them; null if nothing does'),
  errorSince: z.iso.datetime().nullable(),
  open: z.int().describe('number of tasks that are not done'),
  tasks: z.array(openTask).describe(`the oldest ${MOST_SHOWN} of them`),
  parked: z.int().describe('number of authors and books for which a task failed'),
  parkedStreams: z.array(parkedStream).describe(`the oldest ${MOST_SHOWN} of them`),
});

@Controller('policies')
export class PoliciesController {
  constructor(
    private readonly policies: Policies,
    private readonly tables: PolicyTables,
    private readonly store: EventStore,
    private readonly tokens: PositionTokens,
  ) {}

  @Get()
  @DescribeQuery({
    summary: 'How far policies have followed the log, what they do, and what failed',
    tag: 'operation',
    answer: policiesView,
  })
  async getPolicies(): Promise<z.output<typeof policiesView>> {
    const { position, active, error, errorSince } = await this.policies.status();
    const [counts, tasks, parked] = await Promise.all([
      this.tables.counts(),
      this.tables.open(MOST_SHOWN),
      this.tables.parked({ limit: MOST_SHOWN }),
    ]);
    const head = await this.store.head();
    const lag = await lagOf(this.store, position, head);
    return {
      position: position === undefined ? null : this.tokens.format(position),
      head: head === undefined ? null : this.tokens.format(head),
      lag: lag.positions,
      lagSeconds: lag.seconds ?? null,
      active,
      error: error ?? null,
      errorSince: errorSince?.toISOString() ?? null,
      open: counts.open,
      tasks: tasks.map(({ change, what, changed: done, parked: failed, begunAt }) => ({
        change,
        what,
        done,
        parked: failed,
        begunAt: begunAt.toISOString(),
      })),
      parked: counts.parked,
      parkedStreams: parked.map(({ stream, change, what, cause, error: why, parkedAt }) => ({
        stream,
        change,
        what,
        position: this.tokens.format(cause),
        error: why,
        parkedAt: parkedAt.toISOString(),
      })),
    };
  }
}
