import { Controller, Get } from '@nestjs/common';
import { z } from 'zod';
import { PositionTokens } from '../event-store/position-token.js';
import { auditEvent, toAuditEvent } from './audit-event.js';
import { RowChanges, type RowChange } from './row-changes.js';
import { Caller } from '../http/caller.js';
import { DescribeQuery } from '../http/describe.js';
import { Problem } from '../http/problem.js';
import { IdParam } from '../http/validate.js';

const row = z.record(z.string(), z.unknown()).nullable();
const rowHistory = z.object({
  row: row.describe('the row that the log gives now; null if there is none'),
  changes: z.array(
    z.object({
      event: auditEvent,
      row: row.describe('the row after the event; null if the event removed the row'),
    }),
  ),
});
type RowHistory = z.output<typeof rowHistory>;

/** Explains a row: the events that changed the row, each with the row after that event. */
@Controller('audit')
export class RowsController {
  constructor(
    private readonly rowChanges: RowChanges,
    private readonly tokens: PositionTokens,
  ) {}

  @Get('authors/:id/row')
  @DescribeQuery({
    summary: "The events that explain an author's row",
    tag: 'audit',
    ids: ['id'],
    answer: rowHistory,
    problems: { 400: ['invalid-request'], 404: ['author-not-found'] },
  })
  async authorRow(@IdParam('id') id: string, @Caller() caller: AbortSignal): Promise<RowHistory> {
    return this.show('author', await this.rowChanges.of('authors', { id }, caller));
  }

  @Get('books/:id/row')
  @DescribeQuery({
    summary: "The events that explain a book's row",
    tag: 'audit',
    ids: ['id'],
    answer: rowHistory,
    problems: { 400: ['invalid-request'], 404: ['book-not-found'] },
  })
  async bookRow(@IdParam('id') id: string, @Caller() caller: AbortSignal): Promise<RowHistory> {
    return this.show('book', await this.rowChanges.of('books', { id }, caller));
  }

  @Get('links/:authorId/:bookId')
  @DescribeQuery({
    summary: 'The events that explain why an author is linked to a book, or no longer linked',
    tag: 'audit',
    ids: ['authorId', 'bookId'],
    answer: rowHistory,
    problems: { 400: ['invalid-request'], 404: ['link-not-found'] },
  })
  async linkRow(
    @IdParam('authorId') authorId: string,
    @IdParam('bookId') bookId: string,
    @Caller() caller: AbortSignal,
  ): Promise<RowHistory> {
    const key = { author_id: authorId, book_id: bookId };
    return this.show('link', await this.rowChanges.of('author_book', key, caller));
  }

  private show(what: string, changes: readonly RowChange[]): RowHistory {
    if (changes.length === 0)
      throw new Problem(404, `${what}-not-found`, `No event of the log made a row of this ${what}.`);
    const shown = changes.map(({ event, row: made }) => ({
      event: toAuditEvent(event, this.tokens),
      row: toJson(made),
    }));
    return { row: shown.at(-1)?.row ?? null, changes: shown };
  }
}

/** The row as JSON: revisions become strings, times become RFC 3339. */
const toJson = (made: Readonly<Record<string, unknown>> | null): RowHistory['row'] =>
  made &&
  (JSON.parse(
    JSON.stringify(made, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)),
  ) as RowHistory['row']);
