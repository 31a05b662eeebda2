import { Controller, Get, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ChangeProgress } from '../changes/change-progress.js';
import { Changes } from '../changes/changes.js';
import { leftAlone, showLeftAlone } from '../changes/left-alone.js';
import { EventStore, type Position } from '../event-store/event-store.js';
import { PositionTokens } from '../event-store/position-token.js';
import { Caller } from '../http/caller.js';
import { DescribeQuery } from '../http/describe.js';
import { minPositionOf } from '../http/min-position.js';
import { Problem, unavailable } from '../http/problem.js';
import { pageSize, type Schemas, type Valid } from '../http/schemas.js';
import { ValidParam, ValidQuery } from '../http/validate.js';
import { auditEvent, changeId, toAuditEvent, tokenOf, upTo } from './audit-event.js';
import { EventSearch } from '../event-store/event-search.js';
import { Feed } from './feed.js';

const MOST_LEFT = 100;
/** Policies take some ten milliseconds for an event. */
const PATIENCE_MS = 1_000;

const change = z.object({
  id: z.string(),
  actor: z.string().describe('who made the first event of the change'),
  reason: z.string().nullable().describe('why, as of the first event'),
  startedAt: z.iso.datetime().describe('when the first event was recorded'),
  revertedBy: z.string().nullable().describe('id of the change that reverted this one, if that is in effect'),
  reverts: z.string().nullable().describe('id of the change that this one reverts'),
  underWay: z
    .array(
      z.object({
        what: z.string().describe('type of the event that policies carry out'),
        done: z.int().describe('authors and books that were changed so far'),
        parked: z.int().describe('authors and books for which this failed: see GET /policies'),
      }),
    )
    .nullable()
    .describe(
      'what is still to be done for the change; empty if nothing is; null if that is unknown: see GET /policies',
    ),
  leftAlone: z.array(leftAlone).describe(`what a revert left as it was; the first ${MOST_LEFT}`),
  moreLeftAlone: z.int().describe('how much more a revert left as it was'),
  events: z.array(auditEvent).describe('the newest event first'),
  next: z
    .string()
    .nullable()
    .describe('pass as `after` for the next page; null if the page reached the first event'),
  upTo,
});
const page = ({ position }: Schemas) =>
  z.strictObject({
    after: position.optional().describe('only events before this position, which are on later pages'),
    limit: pageSize(1_000, 100).describe('1 to 1000 events a page, 100 by default'),
  });

@Controller('changes')
export class ChangesController {
  constructor(
    private readonly search: EventSearch,
    private readonly feed: Feed,
    private readonly changes: Changes,
    private readonly progress: ChangeProgress,
    private readonly store: EventStore,
    private readonly tokens: PositionTokens,
  ) {}

  @Get(':id')
  @DescribeQuery({
    summary: 'A change: who made it, when and why, and its events',
    tag: 'audit',
    names: ['id'],
    query: page,
    answer: change,
    minPosition: true,
    problems: { 400: ['invalid-request'], 404: ['change-not-found'] },
  })
  async getChange(
    @ValidParam('id', changeId) id: string,
    @ValidQuery(page) { after, limit }: Valid<typeof page>,
    @Req() request: FastifyRequest,
    @Caller() caller: AbortSignal,
  ): Promise<z.output<typeof change>> {
    const reached = await this.search.reach(minPositionOf(request, this.tokens));
    const first =
      reached && (await this.feed.page({ change: id }, { ...reached, caller, limit: 1 })).events[0];
    if (!reached || !first) {
      if (reached?.current === false)
        throw unavailable(
          'The tables of changes are behind the log, so it is unknown whether there is such a change.',
        );
      throw new Problem(404, 'change-not-found', 'There is no change with this id.');
    }
    const { events, next } = await this.feed.page(
      { change: id },
      { ...reached, after, backward: true, limit, caller },
    );
    const { actor, reason, recordedAt: startedAt } = toAuditEvent(first, this.tokens);
    const newest = after === undefined ? events[0]?.position : undefined;
    const [{ revertedBy, reverts }, underWay] = await Promise.all([
      this.changes.related(id),
      this.underWay(id, newest ?? first.position),
    ]);
    const { facts, total } = await this.progress.leftAlone(id, MOST_LEFT);
    return {
      id,
      actor,
      reason,
      startedAt,
      revertedBy: revertedBy ?? null,
      reverts: reverts ?? null,
      underWay,
      leftAlone: await showLeftAlone(facts, this.store, this.tokens),
      moreLeftAlone: total - facts.length,
      events: events.map((event) => toAuditEvent(event, this.tokens)),
      next: tokenOf(next, this.tokens),
      upTo: tokenOf(reached.upTo, this.tokens),
    };
  }

  /** @param position of an event of the change. */
  private async underWay(id: string, position: Position): Promise<z.output<typeof change>['underWay']> {
    if (!(await this.progress.reached(position, PATIENCE_MS))) return null;
    return [...(await this.progress.underWay(id))];
  }
}
