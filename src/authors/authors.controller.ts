import { Controller, Delete, HttpCode, Patch, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { role } from '../books/role-schemas.js';
import { ChangeProgress } from '../changes/change-progress.js';
import { Commands } from '../commands/commands.js';
import { Caller } from '../http/caller.js';
import { CommandAnswers, redirects, type CommandAnswer } from '../http/command-answer.js';
import { Context, type HttpCommandContext } from '../http/request-context.js';
import { DescribeCommand } from '../http/describe.js';
import { answerChange, changeAnswer, type ChangeAnswer } from '../http/prefer.js';
import { canonicalUuid, flag, pageSize, uuid, type Schemas, type Valid } from '../http/schemas.js';
import { IdParam, ValidBody, ValidQuery } from '../http/validate.js';
import { AddAuthor } from './add-author.js';
import { BOOKS_OF_REMOVED } from './author.events.js';
import { MergeAuthor } from './merge-author.js';
import { Previews, type Preview } from './preview.js';
import { RemoveAuthor } from './remove-author.js';
import { RenameAuthor } from './rename-author.js';
import { RestoreAuthor } from './restore-author.js';

const newAuthor = ({ text }: Schemas) => z.strictObject({ id: uuid.optional(), name: text });
const authorChange = ({ text }: Schemas) => z.strictObject({ name: text });
const merge = z.strictObject({ into: uuid });
/** Each book costs a read of its stream. */
const MAX_PREVIEWED = 100;
const paged = {
  dryRun: flag.optional().describe('true: only say what would happen to each book; write nothing'),
  limit: pageSize(MAX_PREVIEWED, 50).describe(`of a dry run: 1 to ${MAX_PREVIEWED} books; 50 by default`),
  after: z.string().max(4_000).optional().describe('of a dry run: the `next` of the previous page'),
};
const dryRun = z.strictObject(paged);
const removal = z.strictObject({
  books: z
    .enum(['refuse', ...BOOKS_OF_REMOVED])
    .default('refuse')
    .describe(
      'what happens to books of the author. `refuse`: the removal is refused if there are any. `unlink`: they lose ' +
        'the author. `remove-sole-authored`: those without another author are removed, and the others lose the author. ' +
        '`remove-all`: they are removed',
    ),
  ...paged,
});
const bookEffect = z.object({ id: canonicalUuid, title: z.string() });
const preview = z.object({
  dryRun: z.literal(true),
  items: z.array(
    z.union([
      bookEffect.extend({ does: z.enum(['unlinked', 'removed']) }),
      bookEffect.extend({
        does: z.literal('relinked'),
        position: z.int(),
        roles: z.array(role),
        creditedAs: z.string().nullable(),
      }),
      bookEffect.extend({
        does: z.literal('parked').describe('the book would stay as it is, until an operator looks'),
        why: z.string(),
      }),
    ]),
  ),
  next: z.string().nullable().describe('the cursor of the next page; null on the last page'),
});
const KNOWN = { 404: ['author-not-found'] };

@Controller('authors')
export class AuthorsController {
  constructor(
    private readonly commands: Commands,
    private readonly answers: CommandAnswers,
    private readonly previews: Previews,
    private readonly progress: ChangeProgress,
  ) {}

  @Post()
  @DescribeCommand({
    summary: 'Add an author',
    body: newAuthor,
    creates: true,
    problems: { 409: ['author-already-exists'] },
  })
  async addAuthor(
    @ValidBody(newAuthor) body: Valid<typeof newAuthor>,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    const command = new AddAuthor(body.id ?? context.newResourceId, body.name, context);
    return this.answers.answer(reply, await this.commands.execute(command), 'authors');
  }

  @Patch(':id')
  @DescribeCommand({
    summary: 'Rename an author',
    ids: ['id'],
    body: authorChange,
    problems: { ...KNOWN, 409: ['author-removed', 'author-merged'] },
  })
  async renameAuthor(
    @IdParam('id') id: string,
    @ValidBody(authorChange) body: Valid<typeof authorChange>,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    return this.answers.answer(
      reply,
      await this.commands.execute(new RenameAuthor(id, body.name, context)),
      'authors',
    );
  }

  @Delete(':id')
  @DescribeCommand({
    summary: 'Remove an author; what happens to the books is said by `books`',
    ids: ['id'],
    query: removal,
    answer: z.union([changeAnswer, preview]),
    waits: true,
    problems: { ...KNOWN, 409: ['author-has-books', 'author-merged'] },
  })
  async removeAuthor(
    @IdParam('id') id: string,
    @ValidQuery(removal) { dryRun, limit, after, ...query }: Valid<typeof removal>,
    @Context() context: HttpCommandContext,
    @Caller() caller: AbortSignal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ChangeAnswer | Preview> {
    const books = query.books === 'refuse' ? undefined : query.books;
    if (dryRun) return this.previews.removal({ id, books }, { context, page: { limit, after }, caller });
    const result = await this.commands.execute(new RemoveAuthor(id, books, context));
    // A removal without books ends with its own event. An author who is removed already may have been removed with books.
    const ended = books === undefined && !result.unchanged ? undefined : this.ended;
    return answerChange(request, reply, this.answers.answer(reply, result, 'authors'), result, ended);
  }

  @Post(':id/restore')
  @HttpCode(200)
  @DescribeCommand({
    summary: 'Restore a removed author',
    ids: ['id'],
    problems: { ...KNOWN, 409: ['author-merged'] },
  })
  async restoreAuthor(
    @IdParam('id') id: string,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    return this.answers.answer(reply, await this.commands.execute(new RestoreAuthor(id, context)), 'authors');
  }

  @Post(':id/merge')
  @HttpCode(200)
  @DescribeCommand({
    summary:
      'Merge an author into another, who takes over the books; the old id then stands for the survivor',
    ids: ['id'],
    body: merge,
    query: dryRun,
    answer: z.union([changeAnswer.extend(redirects.shape), preview.extend(redirects.shape)]),
    waits: true,
    problems: { ...KNOWN, 409: ['author-merged', 'author-removed'], 422: ['merged-into-itself'] },
  })
  async mergeAuthor(
    @IdParam('id') id: string,
    @ValidBody(merge) { into }: Valid<typeof merge>,
    @ValidQuery(dryRun) { dryRun: dry, ...page }: Valid<typeof dryRun>,
    @Context() context: HttpCommandContext,
    @Caller() caller: AbortSignal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ChangeAnswer | Preview> {
    if (dry) return this.previews.merge({ id, into }, { context, page, caller });
    const result = await this.commands.execute(new MergeAuthor(id, into, context));
    return answerChange(request, reply, this.answers.answer(reply, result, 'authors'), result, this.ended);
  }

  /** The command is done: a failure to learn whether its change has ended must not turn the answer into a refusal. */
  private readonly ended: ChangeProgress['ended'] = (...change) =>
    this.progress.ended(...change).catch(() => false);
}
