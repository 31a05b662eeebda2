import { Readable } from 'node:stream';
import { Controller, Get, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { AuthorNotFound } from '../authors/author.js';
import { authorStream } from '../authors/author.events.js';
import { BookNotFound } from '../books/book.js';
import { bookStream } from '../books/book.events.js';
import { EventStore, type RecordedEvent, type StreamRange } from '../event-store/event-store.js';
import { PositionTokens } from '../event-store/position-token.js';
import { Caller } from '../http/caller.js';
import { DescribeQuery } from '../http/describe.js';
import { NDJSON } from '../http/media-types.js';
import { MediaType } from '../http/offer.guard.js';
import { canonicalUuid, pageSize, type Schemas, type Valid } from '../http/schemas.js';
import { IdParam, ValidQuery } from '../http/validate.js';
import { auditEvent, toAuditEvent, type AuditEvent } from './audit-event.js';
import { replay } from './replay.js';

const history = z.object({
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
});
const historyPage = z.strictObject({
  after: z
    .string()
    .regex(/^(0|[1-9]\d{0,17})$/, 'must be a revision')
    .transform(BigInt)
    .optional()
    .describe('only events after this revision'),
  limit: pageSize(1_000, 1_000).describe('1 to 1000 events a page, 1000 by default'),
});
const eventPage = z.object({
  items: z.array(auditEvent),
  next: z
    .string()
    .nullable()
    .describe('pass as `after` for the next page; null if the page reached the head'),
});
const filter = ({ position }: Schemas) =>
  z.strictObject({
    after: position.optional().describe('only events after this position'),
    types: z
      .string()
      .max(1_000)
      .regex(/^\w+(,\w+)*$/, 'must be event types, separated by commas')
      .transform((names) => names.split(','))
      .optional()
      .describe('only events of these types, separated by commas'),
    stream: z
      .string()
      .max(100)
      .regex(/^[a-z]+-[\w-]+$/, 'must be the name of a stream, such as author-<id>')
      .optional()
      .describe('only events of this stream'),
    limit: pageSize(1_000, 100).describe(
      '1 to 1000 events a page, 100 by default; a stream of NDJSON has no pages',
    ),
  });

interface History {
  readonly id: string;
  readonly deleted?: number;
  readonly events: AuditEvent[];
  readonly next: string | null;
}

@Controller('audit')
export class AuditController {
  constructor(
    private readonly store: EventStore,
    private readonly tokens: PositionTokens,
  ) {}

  @Get('authors/:id')
  @DescribeQuery({
    summary: 'Everything that happened to an author, removed or not',
    tag: 'audit',
    ids: ['id'],
    query: historyPage,
    answer: history,
    problems: { 400: ['invalid-request'], 404: ['author-not-found'] },
  })
  async authorHistory(
    @IdParam('id') id: string,
    @ValidQuery(historyPage) page: Valid<typeof historyPage>,
    @Caller() caller: AbortSignal,
  ): Promise<History> {
    return this.history(id, authorStream(id), { ...page, caller }, () => new AuthorNotFound());
  }

  @Get('books/:id')
  @DescribeQuery({
    summary: 'Everything that happened to a book and its links, removed or not',
    tag: 'audit',
    ids: ['id'],
    query: historyPage,
    answer: history,
    problems: { 400: ['invalid-request'], 404: ['book-not-found'] },
  })
  async bookHistory(
    @IdParam('id') id: string,
    @ValidQuery(historyPage) page: Valid<typeof historyPage>,
    @Caller() caller: AbortSignal,
  ): Promise<History> {
    return this.history(id, bookStream(id), { ...page, caller }, () => new BookNotFound());
  }

  @Get('events')
  @DescribeQuery({
    summary:
      'The log in order: one page as JSON, or the whole log as NDJSON if the Accept header asks for NDJSON',
    tag: 'audit',
    query: filter,
    answer: eventPage,
    ndjson: true,
    problems: { 400: ['invalid-request'] },
  })
  async listEvents(
    @ValidQuery(filter) { limit, ...which }: Valid<typeof filter>,
    @MediaType() mediaType: string,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Caller() caller: AbortSignal,
  ): Promise<z.output<typeof eventPage> | Readable> {
    if (mediaType === NDJSON) {
      // Read once before the headers are sent, so that an unavailable store still gives a 503.
      await this.store.head();
      reply.type(NDJSON);
      return Readable.from(replay(this.store, this.tokens, { ...which, caller }));
    }
    const { after, types, stream } = which;
    const wanted = { from: after, types, stream, caller, batchSize: limit + 1 };
    // Read one event more than the limit: the extra event shows that a next page exists.
    let items: readonly RecordedEvent[] = [];
    for await (const events of this.store.readAll(wanted)) {
      // A batch of large events is smaller than asked for. Then the second batch shows that a next page exists.
      const second = items.length > 0;
      if (!second) items = events.slice(0, limit);
      const last = items.at(-1);
      if (last && (second || events.length > limit))
        return { items: this.show(items), next: this.tokens.format(last.position) };
    }
    return { items: this.show(items), next: null };
  }

  private async history(
    id: string,
    stream: string,
    { after, limit, caller }: StreamRange,
    notFound: () => Error,
  ): Promise<History> {
    const events = await this.store.readStream(stream, { after, limit, caller });
    const last = events.at(-1);
    if (!last) {
      const exists =
        after !== undefined && (await this.store.readStream(stream, { limit: 1, caller })).length > 0;
      if (!exists) throw notFound();
      return { id, events: [], next: null };
    }
    const following = await this.store.readStream(stream, { after: last.revision, limit: 1, caller });
    const next = following.length > 0 ? last.revision.toString() : null;
    return { id, ...(after === undefined && deletedBefore(events)), events: this.show(events), next };
  }

  private show(events: readonly RecordedEvent[]): AuditEvent[] {
    return events.map((event) => toAuditEvent(event, this.tokens));
  }
}

/** How many events of a stream are missing at its beginning. */
const deletedBefore = ([first]: readonly RecordedEvent[]): { deleted?: number } =>
  first && first.revision > 0n ? { deleted: Number(first.revision) } : {};
