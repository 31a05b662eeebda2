import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { Controller, Get, HttpCode, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { EventStore } from '../src/event-store/event-store.js';
import { PositionTokens } from '../src/event-store/position-token.js';
import { DescribeActor, DescribeQuery, OF_COMMANDS } from '../src/http/describe.js';
import { NDJSON } from '../src/http/media-types.js';
import { MediaType } from '../src/http/offer.guard.js';
import { Problem } from '../src/http/problem.js';
import { Context, type HttpCommandContext } from '../src/http/request-context.js';
import { canonicalUuid, flag } from '../src/http/schemas.js';
import { IdParam, ValidParam, ValidQuery } from '../src/http/validate.js';
import { type RebuildRow } from './build/rebuild-record.js';
import { lagOf } from '../src/event-store/lag.js';
import type { Maintenance } from './maintenance.js';
import { Projections, type RunningProjection } from './projections.js';
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
  lagSeconds: z
    .number()
    .nullable()
    .describe('age of the oldest event that is not in the tables; 0 when caught up; null if unknown'),
  parked: z.int().describe('events that could not be applied, and events that wait behind them'),
  active: z.boolean().describe('whether this process is the leader; otherwise it is a standby'),
  error: z.string().nullable().describe('the error that stops the projection; null if none'),
  errorSince: z.iso.datetime().nullable(),
  rebuild: job.nullable().describe('the rebuild in progress; null if none'),
});
type ProjectionView = z.output<typeof projectionView>;
const projectionList = z.object({ items: z.array(projectionView) });
const projectionName = z.string().max(100);
const rebuildQuery = z.strictObject({
  allowParked: flag.default(false).describe('park events that can not be applied, and go on'),
});

const NOT_FOUND = { 404: ['projection-not-found'] };
const FOLLOW_MS = 250;

@Controller('projections')
export class ProjectionsController {
  constructor(
    private readonly projections: Projections,
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
    return { items: await Promise.all(this.projections.all.map((one) => this.show(one))) };
  }

  @Get(':name')
  @DescribeQuery({
    summary: 'How far the tables of one projection have followed the log',
    tag: 'operation',
    names: ['name'],
    answer: projectionView,
    problems: NOT_FOUND,
  })
  async getProjection(@ValidParam('name', projectionName) name: string): Promise<ProjectionView> {
    return this.show(this.projections.named(name));
  }

  @Post(':name/rebuild')
  @HttpCode(202)
  @DescribeActor()
  @DescribeQuery({
    summary: 'Rebuild the tables from the log; the service keeps running meanwhile',
    tag: 'operation',
    names: ['name'],
    status: 202,
    query: rebuildQuery,
    answer: job,
    problems: { ...OF_COMMANDS, ...NOT_FOUND, 409: ['rebuild-running', 'schema-taken'] },
  })
  async startRebuild(
    @ValidParam('name', projectionName) name: string,
    @ValidQuery(rebuildQuery) options: z.output<typeof rebuildQuery>,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Job> {
    const { maintenance } = this.projections.named(name);
    try {
      const id = await maintenance.startRebuild({ ...options, by: context });
      reply.header('location', `/projections/${name}/rebuilds/${id}`);
      return await jobOf(maintenance, id);
    } catch (error) {
      if (error instanceof RebuildRunning) throw new Problem(409, 'rebuild-running', `${error.message}.`);
      if (error instanceof SchemaTaken) throw new Problem(409, 'schema-taken', `${error.message}.`);
      throw error;
    }
  }

  @Get(':name/rebuilds/:id')
  @DescribeQuery({
    summary:
      'Progress of a rebuild: once as JSON, or until its end as NDJSON if the Accept header asks for NDJSON',
    tag: 'operation',
    names: ['name'],
    ids: ['id'],
    answer: job,
    ndjson: true,
    problems: { 400: ['invalid-request'], 404: [...NOT_FOUND[404], 'rebuild-not-found'] },
  })
  async getRebuild(
    @ValidParam('name', projectionName) name: string,
    @IdParam('id') id: string,
    @MediaType() mediaType: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Job | Readable> {
    const { maintenance } = this.projections.named(name);
    const first = await jobOf(maintenance, id);
    if (mediaType !== NDJSON) return first;
    reply.type(NDJSON);
    return Readable.from(follow(maintenance, first));
  }

  private async show({ projector, maintenance }: RunningProjection): Promise<ProjectionView> {
    const { position, error, errorSince, ...rest } = await projector.status();
    const rebuild = await maintenance.rebuildOf();
    const head = await this.store.head();
    const lag = await lagOf(this.store, position, head);
    return {
      ...rest,
      position: position === undefined ? null : this.tokens.format(position),
      head: head === undefined ? null : this.tokens.format(head),
      lag: lag.positions,
      lagSeconds: lag.seconds ?? null,
      error: error ?? null,
      errorSince: errorSince?.toISOString() ?? null,
      rebuild: rebuild && !rebuild.endedAt ? toJob(rebuild) : null,
    };
  }
}

async function* follow(maintenance: Maintenance, first: Job): AsyncIterable<string> {
  for (let current = first, told = ''; ; current = await jobOf(maintenance, first.id)) {
    const line = `${JSON.stringify(current)}\n`;
    if (line !== told) yield line;
    told = line;
    if (current.status !== 'running') return;
    await setTimeout(FOLLOW_MS);
  }
}

async function jobOf(maintenance: Maintenance, id: string): Promise<Job> {
  const row = await maintenance.rebuildOf(id);
  if (!row) throw new Problem(404, 'rebuild-not-found', 'There is no rebuild with this id.');
  return toJob(row);
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
