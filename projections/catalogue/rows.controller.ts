import { Controller, Get } from '@nestjs/common';
import { z } from 'zod';
import { EventStore } from '../../src/event-store/event-store.js';
import { auditEvent, toAuditEvent } from '../../src/http/audit-event.js';
import { DescribeQuery } from '../../src/http/describe.js';
import { Problem } from '../../src/http/problem.js';
import { IdParam } from '../../src/http/validate.js';
import { explain } from './explain.js';

const row = z.record(z.string(), z.unknown()).nullable();
const rowHistory = z.object({
  row: row.describe('as the log has it now; null: there is none'),
  changes: z.array(
    z.object({ event: auditEvent, row: row.describe('after the event; null where the event took it away') }),
  ),
});
type RowHistory = z.output<typeof rowHistory>;

/** Why a row is as it is: the events that changed it, each with what it made of the row. */
@Controller('audit')
export class RowsController {
  constructor(private readonly store: EventStore) {}

  @Get('authors/:id/row')
  @DescribeQuery({
    summary: "Why an author's row is as it is",
    tag: 'audit',
    ids: ['id'],
    answer: rowHistory,
    problems: { 400: ['invalid-request'], 404: ['author-not-found'] },
  })
  authorRow(@IdParam('id') id: string): Promise<RowHistory> {
    return this.history('authors', { id }, 'author');
  }

  @Get('books/:id/row')
  @DescribeQuery({
    summary: "Why a book's row is as it is",
    tag: 'audit',
    ids: ['id'],
    answer: rowHistory,
    problems: { 400: ['invalid-request'], 404: ['book-not-found'] },
  })
  bookRow(@IdParam('id') id: string): Promise<RowHistory> {
    return this.history('books', { id }, 'book');
  }

  @Get('links/:authorId/:bookId')
  @DescribeQuery({
    summary: 'Why an author is linked to a book, or no longer',
    tag: 'audit',
    ids: ['authorId', 'bookId'],
    answer: rowHistory,
    problems: { 400: ['invalid-request'], 404: ['link-not-found'] },
  })
  linkRow(@IdParam('authorId') authorId: string, @IdParam('bookId') bookId: string): Promise<RowHistory> {
    return this.history('author_book', { author_id: authorId, book_id: bookId }, 'link');
  }

  private async history(table: string, key: Record<string, string>, what: string): Promise<RowHistory> {
    const changes = await explain(this.store, table, key);
    if (changes.length === 0)
      throw new Problem(404, `${what}-not-found`, `There never was such a ${what}, by the log.`);
    const shown = changes.map(({ event, row: made }) => ({ event: toAuditEvent(event), row: toJson(made) }));
    return { row: shown.at(-1)?.row ?? null, changes: shown };
  }
}

/** As HTTP shows revisions and times. */
const toJson = (made: Readonly<Record<string, unknown>> | null): RowHistory['row'] =>
  made &&
  (JSON.parse(
    JSON.stringify(made, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)),
  ) as RowHistory['row']);
