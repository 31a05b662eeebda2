import { Readable } from 'node:stream';
import { Controller, Get, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AuthorNotFound } from '../authors/author.js';
import { authorStream } from '../authors/author.events.js';
import { BookNotFound } from '../books/book.js';
import { bookStream } from '../books/book.events.js';
import { EventStore, type RecordedEvent } from '../event-store/event-store.js';
import { PositionTokens } from '../event-store/position-token.js';
import { Caller } from '../http/caller.js';
import { DescribeQuery } from '../http/describe.js';
import { NDJSON } from '../http/media-types.js';
import { minPositionOf } from '../http/min-position.js';
import { idsOf } from '../http/observe.js';
import { MediaType } from '../http/offer.guard.js';
import { MAX_ACTOR_LENGTH } from '../http/request-context.js';
import { canonicalUuid, pageSize, uuid, type Schemas, type Valid } from '../http/schemas.js';
import { IdParam, ValidQuery } from '../http/validate.js';
import {
  auditEvent,
  changeId,
  plainText,
  toAuditEvent,
  tokenOf,
  UP_TO,
  upTo,
  type AuditEvent,
} from './audit-event.js';
import { EventSearch, type FindOptions } from '../event-store/event-search.js';
import { Feed } from './feed.js';
import { toldIfBroken } from './told-if-broken.js';
import { replay } from './replay.js';

const MAX_TYPES = 50;
const historyFields = {
  id: canonicalUuid,
  deleted: z
    .int()
    .optional()
    .describe('events at the beginning that another program deleted; missing if there are none'),
  events: z.array(auditEvent),
  next: z
    .string()
    .nullable()
    .describe('pass as `after` for the next page; null if the page reached the end of the history'),
};
const bookHistory = z.object(historyFields);
const authorHistory = z.object({ ...historyFields, upTo });
const limit = pageSize(1_000, 1_000).describe('1 to 1000 events a page, 1000 by default');
const bookHistoryPage = z.strictObject({
  after: z
    .string()
    .regex(/^(0|[1-9]\d{0,17})$/, 'must be a revision')
    .transform(BigInt)
    .optional()
    .describe('only events after this revision'),
  limit,
});
const authorHistoryPage = ({ position }: Schemas) =>
  z.strictObject({ after: position.optional().describe('only events after this position'), limit });
const eventPage = z.object({
  items: z.array(auditEvent),
  next: z
    .string()
    .nullable()
    .describe('pass as `after` for the next page; null if the page reached the end of the log'),
  upTo: upTo.optional().describe(`of a filtered page: ${UP_TO}`),
});
const SORTS = ['position', '-position'] as const;
const filter = ({ position, moment }: Schemas) =>
  z.strictObject({
    sort: z.enum(SORTS).default('position').describe('the order; -position: the newest event first'),
    after: position.optional().describe('only events after this position, in the order of the answer'),
    types: z
      .string()
      .max(1_000)
      .regex(/^\w+(,\w+)*$/, 'must be event types, separated by commas')
      .transform((names) => [...new Set(names.split(','))])
      .pipe(z.array(z.string()).max(MAX_TYPES))
      .optional()
      .describe(`only events of these types, ${MAX_TYPES} at most, separated by commas`)
      .meta({ examples: ['AuthorRenamed,AuthorRemoved'] }),
    stream: z
      .string()
      .max(100)
      .regex(/^[a-z]+-[\w-]+$/, 'must be the name of a stream, such as author-<id>')
      .optional()
      .describe('only events of this stream')
      .meta({ examples: ['author-018f3c3a-0000-7000-8000-000000000001'] }),
    actor: plainText(MAX_ACTOR_LENGTH)
      .normalize('NFC')
      .optional()
      .describe('only events of this actor')
      .meta({ examples: ['editor'] }),
    change: changeId.optional().describe('only events of the change with this id'),
    author: uuid.optional().describe('only events that concern this author: of the author, and of its books'),
    book: uuid.optional().describe('only events that concern this book'),
    since: moment
      .optional()
      .describe('only events recorded at this time or later, or from this position on')
      .meta({ examples: ['2026-01-31T12:00:00Z'] }),
    until: moment
      .optional()
      .describe('only events recorded at this time or earlier, or up to this position')
      .meta({ examples: ['2026-02-28', '281.9f3a2c1b'] }),
    limit: pageSize(1_000, 100).describe(
      '1 to 1000 events a page, 100 by default; a stream of NDJSON has no pages',
    ),
  });

interface History {
  readonly id: string;
  readonly deleted?: number;
  readonly events: AuditEvent[];
  readonly next: string | null;
  readonly upTo?: string | null;
}

@Controller('audit')
export class AuditController {
  constructor(
    private readonly store: EventStore,
    private readonly search: EventSearch,
    private readonly feed: Feed,
    private readonly tokens: PositionTokens,
  ) {}

  @Get('authors/:id')
  @DescribeQuery({
    summary: 'Everything that happened to an author and to its links with books, removed or not',
    tag: 'audit',
    ids: ['id'],
    query: authorHistoryPage,
    answer: authorHistory,
    minPosition: true,
    problems: { 400: ['invalid-request'], 404: ['author-not-found'] },
  })
  async authorHistory(
    @IdParam('id') author: string,
    @ValidQuery(authorHistoryPage) { after, limit: most }: Valid<typeof authorHistoryPage>,
    @Req() request: FastifyRequest,
    @Caller() caller: AbortSignal,
  ): Promise<History> {
    const stream = authorStream(author);
    const [first] = await this.store.readStream(stream, { limit: 1, caller });
    if (!first) throw new AuthorNotFound();
    const reached = await this.search.reach(minPositionOf(request, this.tokens));
    const page = reached && (await this.feed.page({ author }, { after, limit: most, caller, ...reached }));
    // The log may still show what another program deleted from the stream.
    const events = page?.events.filter(
      (event) => event.stream !== stream || event.revision >= first.revision,
    );
    return {
      id: author,
      ...(after === undefined && deletedBefore(first)),
      events: this.show(events ?? []),
      next: tokenOf(page?.next, this.tokens),
      upTo: tokenOf(reached?.upTo, this.tokens),
    };
  }

  @Get('books/:id')
  @DescribeQuery({
    summary: 'Everything that happened to a book and its links, removed or not',
    tag: 'audit',
    ids: ['id'],
    query: bookHistoryPage,
    answer: bookHistory,
    problems: { 400: ['invalid-request'], 404: ['book-not-found'] },
  })
  async bookHistory(
    @IdParam('id') id: string,
    @ValidQuery(bookHistoryPage) { after, limit: most }: Valid<typeof bookHistoryPage>,
    @Caller() caller: AbortSignal,
  ): Promise<History> {
    const stream = bookStream(id);
    const events = await this.store.readStream(stream, { after, limit: most, caller });
    const [first] = events;
    const last = events.at(-1);
    if (!first || !last) {
      const exists =
        after !== undefined && (await this.store.readStream(stream, { limit: 1, caller })).length > 0;
      if (!exists) throw new BookNotFound();
      return { id, events: [], next: null };
    }
    const following = await this.store.readStream(stream, { after: last.revision, limit: 1, caller });
    const next = following.length > 0 ? last.revision.toString() : null;
    return { id, ...(after === undefined && deletedBefore(first)), events: this.show(events), next };
  }

  @Get('events')
  @DescribeQuery({
    summary:
      'The log in order, or the events that meet all conditions: one page as JSON, or all of them as NDJSON if the ' +
      'Accept header asks for NDJSON',
    tag: 'audit',
    query: filter,
    answer: eventPage,
    ndjson: true,
    minPosition: true,
    problems: { 400: ['invalid-request'] },
  })
  async listEvents(
    @ValidQuery(filter) { limit: most, after, sort, ...which }: Valid<typeof filter>,
    @MediaType() mediaType: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Caller() caller: AbortSignal,
  ): Promise<z.output<typeof eventPage> | Readable> {
    const part = { after, backward: sort === '-position', caller };
    const lines = mediaType === NDJSON;
    if (lines) reply.type(NDJSON);
    if (Object.values(which).every((condition) => condition === undefined)) {
      if (!lines) return this.page({ ...part, limit: most });
      // Read once before the headers are sent, so that an unavailable store still gives a 503.
      await this.store.head();
      return Readable.from(
        toldIfBroken(replay(this.store, this.tokens, part), request.caller, idsOf(request)),
      );
    }
    const reached = await this.search.reach(minPositionOf(request, this.tokens));
    const known = tokenOf(reached?.upTo, this.tokens);
    if (lines) {
      if (known !== null) reply.header('position', known);
      return Readable.from(
        reached
          ? toldIfBroken(this.feed.lines(which, { ...part, ...reached }), request.caller, idsOf(request))
          : [],
      );
    }
    if (!reached) return { items: [], next: null, upTo: null };
    const { events, next } = await this.feed.page(which, { ...part, ...reached, limit: most });
    return { items: this.show(events), next: tokenOf(next, this.tokens), upTo: known };
  }

  /** A page of the whole log. */
  private async page({
    after,
    backward,
    limit: most,
    caller,
  }: Omit<FindOptions, 'upTo'>): Promise<z.output<typeof eventPage>> {
    const direction = backward ? 'backward' : 'forward';
    // Read one event more than the limit: the extra event shows that a next page exists.
    const wanted = { from: after, direction, caller, batchSize: most + 1 } as const;
    let items: readonly RecordedEvent[] = [];
    for await (const events of this.store.readAll(wanted)) {
      // A batch of large events is smaller than asked for. Then the second batch shows that a next page exists.
      const second = items.length > 0;
      if (!second) items = events.slice(0, most);
      const last = items.at(-1);
      if (last && (second || events.length > most))
        return { items: this.show(items), next: this.tokens.format(last.position) };
    }
    return { items: this.show(items), next: null };
  }

  private show(events: readonly RecordedEvent[]): AuditEvent[] {
    return events.map((event) => toAuditEvent(event, this.tokens));
  }
}

/** How many events of a stream are missing at its beginning. */
const deletedBefore = ({ revision }: RecordedEvent): { deleted?: number } =>
  revision > 0n ? { deleted: Number(revision) } : {};
