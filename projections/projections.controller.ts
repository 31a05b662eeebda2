import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { Controller, Get, HttpCode, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { EventStore } from '../src/event-store/event-store.js';
import { PositionTokens } from '../src/event-store/position-token.js';
import { DescribeQuery, OF_COMMANDS } from '../src/http/describe.js';
import { NDJSON } from '../src/http/media-types.js';
import { MediaType } from '../src/http/offer.guard.js';
import { Problem } from '../src/http/problem.js';
import { canonicalUuid, flag } from '../src/http/schemas.js';
import { IdParam, ValidQuery } from '../src/http/validate.js';
import { Maintenance } from './maintenance.js';
import { Projector } from './projector.js';
import { type RebuildRow } from './build/rebuild-record.js';
import { RebuildRunning } from './build/build.js';
import { SchemaTaken } from './build/schemas.js';

const job = z.object({
  id: canonicalUuid,
  status: z.enum(['running', 'done', 'failed']),
  phase: z.enum(['reading', 'loading', 'indexing', 'catching up', 'verifying', 'applying', 'done', 'failed']),
  done: z
    .int()
    .describe('events processed; in phase indexing, indexes built; in phase applying, rows written'),
  total: z.int().describe('the value of `done` at the end of the phase'),
  secondsLeft: z.int().nullable().describe('estimate for the phase; null if unknown'),
  startedAt: z.iso.datetime(),
  startedBy: z.string(),
  endedAt: z.iso.datetime().nullable(),
  error: z.string().nullable(),
  heldUpBy: z.string().nullable().describe('the sessions whose locks the rebuild waits for; null if none'),
});
type Job = z.output<typeof job>;

const projectionView = z.object({
  name: z.string(),
  version: z.int().describe('the version that this process runs'),
  tables: z.int().describe('the version of the tables; differs from `version` until a rebuild ends'),
  position: z
    .string()
    .nullable()
    .describe('position of the last event in the tables; null before the first event'),
  head: z.string().nullable().describe('position of the last event in the log; null if the log is empty'),
  lag: z.int().describe('how far the position is behind the head; 0 when caught up'),
  parked: z.int().describe('events that could not be applied, and events that wait behind them'),
  active: z.boolean().describe('whether this process is the leader; otherwise it is a standby'),
  error: z.string().nullable().describe('the error that stops the projection; null if none'),
  errorSince: z.iso.datetime().nullable(),
  rebuild: job.nullable().describe('the rebuild in progress; null if none'),
});
const projectionList = z.object({ items: z.array(projectionView) });
const rebuildQuery = z.strictObject({
  allowParked: flag.default(false).describe('park events that can not be applied, and go on'),
});

const FOLLOW_MS = 250;

@Controller('projections')
export class ProjectionsController {
  constructor(
    private readonly projector: Projector,
    private readonly maintenance: Maintenance,
    private readonly store: EventStore,
    private readonly tokens: PositionTokens,
  ) {}

  @Get()
  @DescribeQuery({
    summary: 'How far the tables have followed the log',
    tag: 'operation',
    answer: projectionList,
  })
  async listProjections(): Promise<z.output<typeof projectionList>> {
    const { position, error, errorSince, ...rest } = await this.projector.status();
    const rebuild = await this.maintenance.rebuildOf();
    // Read the head after the position, so that the lag is never negative.
    const head = await this.store.head();
    return {
      items: [
        {
          ...rest,
          position: position === undefined ? null : this.tokens.format(position),
          head: head === undefined ? null : this.tokens.format(head),
          lag: Math.max(0, Number((head ?? 0n) - (position ?? 0n))),
          error: error ?? null,
          errorSince: errorSince?.toISOString() ?? null,
          rebuild: rebuild && !rebuild.endedAt ? toJob(rebuild) : null,
        },
      ],
    };
  }

  @Post('catalogue/rebuild')
  @HttpCode(202)
  @DescribeQuery({
    summary: 'Rebuild the tables from the log; the service keeps running meanwhile',
    tag: 'operation',
    status: 202,
    query: rebuildQuery,
    answer: job,
    problems: { ...OF_COMMANDS, 409: ['rebuild-running', 'schema-taken'] },
  })
  async startRebuild(
    @ValidQuery(rebuildQuery) options: z.output<typeof rebuildQuery>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Job> {
    try {
      const id = await this.maintenance.startRebuild(options);
      reply.header('location', `/projections/catalogue/rebuilds/${id}`);
      return await this.job(id);
    } catch (error) {
      if (error instanceof RebuildRunning) throw new Problem(409, 'rebuild-running', `${error.message}.`);
      if (error instanceof SchemaTaken) throw new Problem(409, 'schema-taken', `${error.message}.`);
      throw error;
    }
  }

  @Get('catalogue/rebuilds/:id')
  @DescribeQuery({
    summary:
      'Progress of a rebuild: once as JSON, or until its end as NDJSON if the Accept header asks for NDJSON',
    tag: 'operation',
    ids: ['id'],
    answer: job,
    ndjson: true,
    problems: { 400: ['invalid-request'], 404: ['rebuild-not-found'] },
  })
  async getRebuild(
    @IdParam('id') id: string,
    @MediaType() mediaType: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Job | Readable> {
    const first = await this.job(id);
    if (mediaType !== NDJSON) return first;
    reply.type(NDJSON);
    return Readable.from(this.follow(first));
  }

  private async *follow(first: Job): AsyncIterable<string> {
    for (let current = first, told = ''; ; current = await this.job(first.id)) {
      const line = `${JSON.stringify(current)}\n`;
      if (line !== told) yield line;
      told = line;
      if (current.status !== 'running') return;
      await setTimeout(FOLLOW_MS);
    }
  }

  private async job(id: string): Promise<Job> {
    const row = await this.maintenance.rebuildOf(id);
    if (!row) throw new Problem(404, 'rebuild-not-found', 'There is no rebuild with this id.');
    return toJob(row);
  }
}

function toJob({ phase, done, total, startedAt, updatedAt, endedAt, ...rest }: RebuildRow): Job {
  const seconds = (updatedAt.getTime() - startedAt.getTime()) / 1_000;
  const counted = (phase === 'reading' || phase === 'loading') && done > 0;
  return {
    ...rest,
    status: endedAt === null ? 'running' : phase === 'done' ? 'done' : 'failed',
    phase,
    done,
    total,
    secondsLeft: counted ? Math.round((seconds * (total - done)) / done) : null,
    startedAt: startedAt.toISOString(),
    endedAt: endedAt?.toISOString() ?? null,
  };
}
