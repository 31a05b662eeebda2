import { Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { changeId } from '../audit/audit-event.js';
import { Commands } from '../commands/commands.js';
import type { RecordedEvent } from '../event-store/event-store.js';
import { PositionTokens } from '../event-store/position-token.js';
import { Caller } from '../http/caller.js';
import { CommandAnswers } from '../http/command-answer.js';
import { DescribeCommand } from '../http/describe.js';
import { answerChange, changeAnswer } from '../http/prefer.js';
import { Context, type HttpCommandContext } from '../http/request-context.js';
import { flag, pageSize, type Schemas, type Valid } from '../http/schemas.js';
import { ValidParam, ValidQuery } from '../http/validate.js';
import { revertChange } from './change.js';
import { ChangeProgress } from './change-progress.js';
import { Changes } from './changes.js';
import { leftAlone, toLeftAlone } from './left-alone.js';
import { RevertPreviews } from './preview.js';
import { RevertChange } from './revert-change.js';

const MAX_PREVIEWED = 500;

const revertQuery = ({ position }: Schemas) =>
  z.strictObject({
    dryRun: flag
      .optional()
      .describe('true: only say what would happen to each author and book; write nothing'),
    limit: pageSize(MAX_PREVIEWED, 100).describe(
      `of a dry run: look at 1 to ${MAX_PREVIEWED} events of the change; 100 by default`,
    ),
    after: position.optional().describe('of a dry run: the `next` of the previous page'),
  });
const revertAnswer = changeAnswer.extend({
  id: z.string().describe('the id of the reverted change'),
  change: z.string().describe('the id of the revert, which is a change too'),
});
const preview = z.object({
  dryRun: z.literal(true),
  items: z.array(
    z.object({
      stream: z.string(),
      events: z
        .array(z.object({ type: z.string(), data: z.record(z.string(), z.unknown()) }))
        .describe('what would be written'),
      leftAlone: z.array(leftAlone.omit({ stream: true })),
      error: z.string().optional().describe('the stream would stay as it is, until an operator looks'),
    }),
  ),
  next: z.string().nullable().describe('pass as `after` for the next page; null on the last page'),
});

@Controller('changes')
export class RevertController {
  constructor(
    private readonly commands: Commands,
    private readonly answers: CommandAnswers,
    private readonly changes: Changes,
    private readonly previews: RevertPreviews,
    private readonly progress: ChangeProgress,
    private readonly tokens: PositionTokens,
  ) {}

  @Post(':id/revert')
  @HttpCode(200)
  @DescribeCommand({
    summary: 'Undo a change, as far as nobody has changed its effects since',
    names: ['id'],
    query: revertQuery,
    dryRun: 'audit',
    answer: z.union([revertAnswer, preview]),
    waits: true,
    problems: {
      404: ['change-not-found'],
      409: ['change-under-way', 'change-already-reverted'],
      422: ['revert-of-itself'],
    },
  })
  async revert(
    @ValidParam('id', changeId) id: string,
    @ValidQuery(revertQuery) { dryRun, limit, after }: Valid<typeof revertQuery>,
    @Context() context: HttpCommandContext,
    @Caller() caller: AbortSignal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<z.output<typeof revertAnswer> | z.output<typeof preview>> {
    if (dryRun) {
      revertChange(id, await this.changes.find(id), context);
      const page = await this.previews.page(id, context.correlationId, { after, limit }, caller);
      return {
        dryRun: true,
        items: page.streams.map(({ stream, events, left, error }) => ({
          stream,
          events: events.map(({ type, data }) => ({ type, data: { ...data } })),
          // The events of a history are recorded events.
          leftAlone: left.map(({ fact, why, since }) =>
            toLeftAlone({ fact, why, since: since as RecordedEvent | undefined }, this.tokens),
          ),
          ...(error !== undefined && { error }),
        })),
        next: page.next === undefined ? null : this.tokens.format(page.next),
      };
    }
    const result = await this.commands.execute(new RevertChange(id, context));
    const answer = this.answers.answer(reply, { ...result, created: false }, 'changes');
    return answerChange(request, reply, answer, result, (...change) => this.progress.ended(...change));
  }
}
