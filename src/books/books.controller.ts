import { Controller, Delete, HttpCode, Patch, Post, Put, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { Commands } from '../commands/commands.js';
import { commandAnswer, CommandAnswers, linkAnswer, type CommandAnswer } from '../http/command-answer.js';
import { Context, type HttpCommandContext } from '../http/request-context.js';
import { DescribeCommand } from '../http/describe.js';
import { canonicalUuid, list, uuid, type Schemas, type Valid } from '../http/schemas.js';
import { IdParam, ValidBody } from '../http/validate.js';
import { AddBook } from './add-book.js';
import { MAX_AUTHORS, MAX_LISTED } from './book.js';
import { WAITING_REASONS, type WaitingAuthor } from './books.js';
import { LinkAuthor } from './link-author.js';
import { RemoveBook } from './remove-book.js';
import { ReorderAuthors } from './reorder-authors.js';
import { RestoreBook } from './restore-book.js';
import { RetitleBook } from './retitle-book.js';
import { roles } from './role-schemas.js';
import { UnlinkAuthor } from './unlink-author.js';

const link = ({ text }: Schemas) => ({ roles: roles.optional(), creditedAs: text.nullable().optional() });
/** The defaults are said here, so that a request that spells them out means the same to its `Idempotency-Key`. */
const newLink = ({ text }: Schemas) => ({
  roles: roles.default(['author']),
  creditedAs: text.nullable().default(null),
});
const newBook = (schemas: Schemas) =>
  z.strictObject({
    id: uuid.optional(),
    title: schemas.title,
    authors: list(z.strictObject({ authorId: uuid, ...newLink(schemas) }), { max: MAX_LISTED }).optional(),
  });
const bookChange = ({ title }: Schemas) => z.strictObject({ title });
const linkChange = (schemas: Schemas) =>
  z.strictObject({ ...link(schemas), position: z.int().min(1).max(MAX_AUTHORS).optional() });
const linkChangeOrNone = (schemas: Schemas) => linkChange(schemas).optional();
const order = z.strictObject({ authorIds: list(uuid, { max: MAX_AUTHORS }) });
const KNOWN = { 404: ['book-not-found'] };
const LIVE = { ...KNOWN, 409: ['book-removed'] };
/** Largest number of waiting links that an answer lists. */
const MAX_WAITING = 100;
const restored = commandAnswer.extend({
  waitingAuthors: z
    .array(z.object({ id: canonicalUuid, reason: z.enum(WAITING_REASONS) }))
    .optional()
    .describe(
      `only if links wait for their author: the first ${MAX_WAITING}; such a link is back when its author is, or when the survivor has taken the place of a merged author`,
    ),
  moreWaitingAuthors: z.int().optional().describe('how many more links wait'),
});

@Controller('books')
export class BooksController {
  constructor(
    private readonly commands: Commands,
    private readonly answers: CommandAnswers,
  ) {}

  @Post()
  @DescribeCommand({
    summary: 'Add a book, with its authors in one step',
    answer: linkAnswer,
    body: newBook,
    creates: true,
    problems: {
      409: ['book-already-exists'],
      422: ['author-not-found', 'author-removed', 'too-many-authors', 'book-too-large'],
    },
  })
  async addBook(
    @ValidBody(newBook) body: Valid<typeof newBook>,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    const id = body.id ?? context.newResourceId;
    const { title, filedAs } = body.title;
    const command = new AddBook(id, title, body.authors ?? [], context, filedAs);
    return this.answers.answer(reply, await this.commands.execute(command), 'books');
  }

  @Patch(':id')
  @DescribeCommand({
    summary: 'Change the title of a book',
    ids: ['id'],
    body: bookChange,
    problems: { ...LIVE, 422: ['book-too-large'] },
  })
  async retitleBook(
    @IdParam('id') id: string,
    @ValidBody(bookChange) body: Valid<typeof bookChange>,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    const command = new RetitleBook(id, body.title.title, context, body.title.filedAs);
    return this.answers.answer(reply, await this.commands.execute(command), 'books');
  }

  @Delete(':id')
  @DescribeCommand({
    summary: 'Remove a book and its links',
    ids: ['id'],
    problems: { ...KNOWN, 422: ['book-too-large'] },
  })
  async removeBook(
    @IdParam('id') id: string,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    return this.answers.answer(reply, await this.commands.execute(new RemoveBook(id, context)), 'books');
  }

  @Post(':id/restore')
  @HttpCode(200)
  @DescribeCommand({
    summary: 'Restore a removed book with its links; links to removed authors wait for the author',
    ids: ['id'],
    answer: restored,
    problems: KNOWN,
  })
  async restoreBook(
    @IdParam('id') id: string,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer & Partial<z.output<typeof restored>>> {
    const result = await this.commands.execute(new RestoreBook(id, context));
    return { ...this.answers.answer(reply, result, 'books'), ...listed(result.waitingAuthors) };
  }

  @Put(':id/authors/:authorId')
  @DescribeCommand({
    summary: 'Link an author to a book, or change the link; fields that the body leaves out stay unchanged',
    answer: linkAnswer,
    ids: ['id', 'authorId'],
    body: linkChange,
    problems: {
      404: ['book-not-found', 'author-not-found'],
      409: ['book-removed', 'author-removed'],
      422: ['position-out-of-range', 'too-many-authors', 'book-too-large'],
    },
  })
  async linkAuthor(
    @IdParam('id') id: string,
    @IdParam('authorId') authorId: string,
    @ValidBody(linkChangeOrNone) body: Valid<typeof linkChangeOrNone>,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    const command = new LinkAuthor(id, { authorId, ...body }, context);
    return this.answers.answer(reply, await this.commands.execute(command), 'books');
  }

  @Delete(':id/authors/:authorId')
  @DescribeCommand({
    summary: 'Unlink an author from a book',
    ids: ['id', 'authorId'],
    answer: linkAnswer,
    problems: LIVE,
  })
  async unlinkAuthor(
    @IdParam('id') id: string,
    @IdParam('authorId') authorId: string,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    return this.answers.answer(
      reply,
      await this.commands.execute(new UnlinkAuthor(id, authorId, context)),
      'books',
    );
  }

  @Put(':id/authors')
  @DescribeCommand({
    summary:
      "Put a book's authors in another order; authors whose links wait may be left out and keep their places",
    answer: linkAnswer,
    ids: ['id'],
    body: order,
    problems: { ...LIVE, 422: ['not-the-books-authors'] },
  })
  async reorderAuthors(
    @IdParam('id') id: string,
    @ValidBody(order) body: Valid<typeof order>,
    @Context() context: HttpCommandContext,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CommandAnswer> {
    const command = new ReorderAuthors(id, body.authorIds, context);
    return this.answers.answer(reply, await this.commands.execute(command), 'books');
  }
}

const listed = (waiting: readonly WaitingAuthor[]) => ({
  ...(waiting.length > 0 && { waitingAuthors: waiting.slice(0, MAX_WAITING) }),
  ...(waiting.length > MAX_WAITING && { moreWaitingAuthors: waiting.length - MAX_WAITING }),
});
