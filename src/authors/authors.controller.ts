import { Controller, Delete, HttpCode, Patch, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { Commands } from '../commands/commands.js';
import { CommandAnswers, type CommandAnswer } from '../http/command-answer.js';
import { Context, type HttpCommandContext } from '../http/request-context.js';
import { DescribeCommand } from '../http/describe.js';
import { uuid, type Schemas, type Valid } from '../http/schemas.js';
import { IdParam, ValidBody, ValidQuery } from '../http/validate.js';
import { AddAuthor } from './add-author.js';
import { MergingNotAvailable } from './author.js';
import { RemoveAuthor } from './remove-author.js';
import { RenameAuthor } from './rename-author.js';
import { RestoreAuthor } from './restore-author.js';

const newAuthor = ({ text }: Schemas) => z.strictObject({ id: uuid.optional(), name: text });
const authorChange = ({ text }: Schemas) => z.strictObject({ name: text });
const merge = z.strictObject({ into: uuid });
const removal = z.strictObject({
  books: z.enum(['unlink', 'remove-sole-authored', 'remove-all']).default('unlink'),
});
const KNOWN = { 404: ['author-not-found'] };

@Controller('authors')
export class AuthorsController {
  constructor(
    private readonly commands: Commands,
    private readonly answers: CommandAnswers,
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
    problems: { ...KNOWN, 409: ['author-removed'] },
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
    summary: 'Remove an author; refused while books are linked to the author',
    ids: ['id'],
    query: removal,
    problems: { ...KNOWN, 409: ['author-has-books'] },
  })
  async removeAuthor(
    @IdParam('id') id: string,
    @ValidQuery(removal) _query: Valid<typeof removal>,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    return this.answers.answer(reply, await this.commands.execute(new RemoveAuthor(id, context)), 'authors');
  }

  @Post(':id/restore')
  @HttpCode(200)
  @DescribeCommand({ summary: 'Restore a removed author', ids: ['id'], problems: KNOWN })
  async restoreAuthor(
    @IdParam('id') id: string,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    return this.answers.answer(reply, await this.commands.execute(new RestoreAuthor(id, context)), 'authors');
  }

  @Post(':id/merge')
  @DescribeCommand({
    summary: 'Merge an author into another: not available yet',
    ids: ['id'],
    body: merge,
    problems: { 409: ['merging-not-available'] },
  })
  mergeAuthor(@IdParam('id') _id: string, @ValidBody(merge) _body: Valid<typeof merge>): never {
    throw new MergingNotAvailable();
  }
}
