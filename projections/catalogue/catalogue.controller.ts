import { Controller, Get, Req, Res, UseGuards } from '@nestjs/common';
import { QueryBus, type Query } from '@nestjs/cqrs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Caller } from '../../src/http/caller.js';
import { isKnown } from '../../src/http/conditions.js';
import { DescribeQuery } from '../../src/http/describe.js';
import { Problem } from '../../src/http/problem.js';
import { flag, pageSize, uuid, type Schemas, type Valid } from '../../src/http/schemas.js';
import { IdParam, ValidQuery } from '../../src/http/validate.js';
import { role } from '../../src/books/role-schemas.js';
import { MAX_KEY_LENGTH } from '../../src/stored-data.js';
import { MinPositionGuard, olderTables } from '../min-position.guard.js';
import { USUAL_LIMIT, type Page } from '../page.js';
import { Projector } from '../projector.js';
import { GetAuthor, GetAuthorTag } from './get-author.js';
import { GetBook, GetBookTag } from './get-book.js';
import { AUTHOR_SORTS, ListAuthors } from './list-authors.js';
import { BOOK_SORTS, ListBooks } from './list-books.js';
import { ListAuthorsOfBook, ListBooksOfAuthor, type PageOfAuthors } from './list-links.js';
import { Merged } from './read-model.js';
import type { Representation } from './representation.js';
import {
  authorView,
  bookView,
  linkedAuthor,
  linkedBook,
  pageOf,
  waitingAuthor,
  type LinkedBook,
} from './views.js';

const paging = {
  limit: pageSize(500, USUAL_LIMIT).describe('1 to 500 items; 50 by default'),
  after: z.string().max(4_000).optional().describe('the `next` of the previous page'),
};
const isText = [
  (value: string) => value.isWellFormed() && !value.includes('\0'),
  'must be well-formed text',
] as const;
// A decomposed text is as long as the composed one: of Korean, up to three times longer.
const term = z
  .string()
  .normalize('NFC')
  .min(1)
  .max(200)
  .refine(...isText);
const words = {
  search: term
    .optional()
    .describe(
      'words that are in the text, in any order; ignores case, accents, punctuation, and marks that show nothing. ' +
        'One or two letters match only at the start of a word.',
    ),
  prefix: term.optional().describe('the text from its first letter or digit; ignores what `search` ignores'),
};

const key = z
  .string()
  .min(1)
  .refine(...isText)
  .max(MAX_KEY_LENGTH)
  .optional()
  .describe('the key of the source, if imported');

const authorList = z.strictObject({
  ...paging,
  sort: z.enum(AUTHOR_SORTS).default('name'),
  ...words,
  book: uuid.optional().describe('only authors of this book'),
  role: role.optional().describe('only authors in this role'),
  key,
  hasBooks: flag.optional().describe('true: only authors with books; false: only authors without'),
  include: z.literal('books').optional(),
});
const bookList = z.strictObject({
  ...paging,
  sort: z.enum(BOOK_SORTS).default('title'),
  search: words.search.describe(
    'words that are in the title, in a printed credit or in the name of an author, in any order; otherwise as for authors',
  ),
  prefix: words.prefix,
  author: uuid.optional().describe('only books of this author'),
  role: role.optional().describe('only books with an author in this role'),
  key,
  include: z.literal('authors').optional(),
});
const pageOnly = z.strictObject(paging);
const asOf = ({ moment }: Schemas) => ({
  asOf: moment
    .optional()
    .describe('the state as of a time or a position, including the event at that position'),
});
const oneAuthor = (schemas: Schemas) =>
  z
    .strictObject({
      include: z.literal('books').optional().describe('not together with `asOf`'),
      ...asOf(schemas),
    })
    // An author's books as of a moment are in the streams of all books. `rebuild --as-of` reads all streams.
    .refine(({ include, asOf: moment }) => !include || !moment, {
      message: 'can not be combined with `asOf`; `colophon rebuild --as-of` builds the books as of a moment',
      path: ['include'],
      params: { rule: 'as-of' },
    });
const oneBook = (schemas: Schemas) =>
  z.strictObject({ include: z.literal('authors').optional(), ...asOf(schemas) });

const AUTHOR_PROBLEMS = {
  301: ['author-merged'],
  400: ['invalid-request'],
  404: ['author-not-found'],
  410: ['author-removed'],
};
const BOOK_PROBLEMS = { 400: ['invalid-request'], 404: ['book-not-found'], 410: ['book-removed'] };

@Controller()
@UseGuards(MinPositionGuard)
export class CatalogueController {
  constructor(
    private readonly queries: QueryBus,
    private readonly projector: Projector,
  ) {}

  @Get('authors')
  @DescribeQuery({
    summary: 'Authors by name or age, searched and filtered',
    tag: 'queries',
    query: authorList,
    answer: pageOf(authorView),
    minPosition: true,
    problems: { 400: ['invalid-request'] },
  })
  async listAuthors(
    @ValidQuery(authorList) query: Valid<typeof authorList>,
    @Caller() caller: AbortSignal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string | Buffer> {
    // Tables of an older version don't know who has no books.
    if (query.hasBooks === false && !this.projector.current) throw olderTables();
    return (await this.queries.execute(new ListAuthors(query, caller))).by(reply);
  }

  @Get('authors/:id')
  @DescribeQuery({
    summary: 'An author',
    tag: 'queries',
    ids: ['id'],
    query: oneAuthor,
    answer: authorView,
    minPosition: true,
    tagged: true,
    problems: AUTHOR_PROBLEMS,
  })
  getAuthor(
    @IdParam('id') id: string,
    @ValidQuery(oneAuthor) { include, asOf: moment }: Valid<typeof oneAuthor>,
    @Req() request: FastifyRequest,
    @Caller() caller: AbortSignal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string | Buffer | undefined> {
    const query = new GetAuthor(id, include === 'books', moment, caller);
    const tag = include || moment ? undefined : new GetAuthorTag(id);
    return orSurvivor(request, this.one(request, reply, query, tag));
  }

  @Get('authors/:id/books')
  @DescribeQuery({
    summary: "An author's books by title",
    tag: 'queries',
    ids: ['id'],
    query: pageOnly,
    answer: pageOf(linkedBook),
    minPosition: true,
    problems: AUTHOR_PROBLEMS,
  })
  listBooksOfAuthor(
    @IdParam('id') id: string,
    @ValidQuery(pageOnly) page: Valid<typeof pageOnly>,
    @Req() request: FastifyRequest,
  ): Promise<Page<LinkedBook>> {
    return orSurvivor(request, this.queries.execute(new ListBooksOfAuthor(id, page)));
  }

  @Get('books')
  @DescribeQuery({
    summary: 'Books by title or age, searched and filtered',
    tag: 'queries',
    query: bookList,
    answer: pageOf(bookView),
    minPosition: true,
    problems: { 400: ['invalid-request'] },
  })
  async listBooks(
    @ValidQuery(bookList) query: Valid<typeof bookList>,
    @Caller() caller: AbortSignal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string | Buffer> {
    return (await this.queries.execute(new ListBooks(query, caller))).by(reply);
  }

  @Get('books/:id')
  @DescribeQuery({
    summary: 'A book',
    tag: 'queries',
    ids: ['id'],
    query: oneBook,
    answer: bookView,
    minPosition: true,
    tagged: true,
    problems: BOOK_PROBLEMS,
  })
  getBook(
    @IdParam('id') id: string,
    @ValidQuery(oneBook) { include, asOf: moment }: Valid<typeof oneBook>,
    @Req() request: FastifyRequest,
    @Caller() caller: AbortSignal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string | Buffer | undefined> {
    const query = new GetBook(id, include === 'authors', moment, caller);
    return this.one(request, reply, query, include || moment ? undefined : new GetBookTag(id));
  }

  @Get('books/:id/authors')
  @DescribeQuery({
    summary: "A book's authors in their order",
    tag: 'queries',
    ids: ['id'],
    query: pageOnly,
    answer: pageOf(linkedAuthor, {
      waitingAuthors: z
        .array(waitingAuthor)
        .optional()
        .describe('authors in this part of the list whose links wait for the author, such as a removed one'),
    }),
    minPosition: true,
    problems: BOOK_PROBLEMS,
  })
  listAuthorsOfBook(
    @IdParam('id') id: string,
    @ValidQuery(pageOnly) page: Valid<typeof pageOnly>,
  ): Promise<PageOfAuthors> {
    return this.queries.execute(new ListAuthorsOfBook(id, page));
  }

  /**
   * Answers with a resource and its ETag, or with 304.
   * @param tag the tag alone, which costs less to read.
   */
  private async one<View>(
    request: FastifyRequest,
    reply: FastifyReply,
    query: Query<Representation<View>>,
    tag: Query<string | undefined> | undefined,
  ): Promise<string | Buffer | undefined> {
    if (tag && request.headers['if-none-match'] !== undefined) {
      const shown = await this.queries.execute(tag);
      if (shown !== undefined && isKnown(request, shown)) return notModified(reply, shown);
    }
    const { tag: shown, json } = await this.queries.execute(query);
    if (isKnown(request, shown)) return notModified(reply, shown);
    reply.header('etag', shown);
    return json.by(reply);
  }
}

/**
 * Answers a question about a merged author with the address of the same question about the survivor. A cache may not
 * keep that answer, because a merge can be reverted.
 */
function orSurvivor<T>({ url, routeOptions }: FastifyRequest, answer: Promise<T>): Promise<T> {
  return answer.catch((error: unknown) => {
    if (!(error instanceof Merged)) throw error;
    const path = routeOptions.url?.replace(':id', error.survivor) ?? '';
    const location = path + url.slice(url.includes('?') ? url.indexOf('?') : url.length);
    throw new Problem(301, 'author-merged', error.message, {
      headers: { location, 'cache-control': 'no-store' },
    });
  });
}

function notModified(reply: FastifyReply, tag: string): undefined {
  reply.status(304).header('etag', tag);
}
