import { Injectable } from '@nestjs/common';
import { AUTHOR, authorStream } from '../../src/authors/author.events.js';
import { BOOK, bookStream } from '../../src/books/book.events.js';
import { AsOfTime } from '../../src/event-store/as-of-time.js';
import { EventStore, type Position, type RecordedEvent } from '../../src/event-store/event-store.js';
import type { Moment } from '../../src/event-store/moment.js';
import { invalidRequest, Problem } from '../../src/http/problem.js';
import { foldAuthor, foldBook } from './fold.js';
import type { AuthorRow, BookRow, Known, Standing } from './rows.js';
import {
  rareFields,
  type AuthorView,
  type BookView,
  type LinkedAuthor,
  type WaitingAuthor,
} from './views.js';

/** Single authors and books as of a moment, folded from their streams by the projection's own fold. */
@Injectable()
export class CatalogueAsOf {
  constructor(private readonly store: EventStore) {}

  /** @throws Problem 404 or 410 if the author did not exist at that moment. */
  async author(id: string, asOf: Moment, caller?: AbortSignal): Promise<AuthorView> {
    const { standing, stale } = await this.fold(authorStream(id), asOf, foldAuthor, caller);
    const { sourceKey, ...author } = thereOr('author', standing);
    return { ...viewOf(author, stale), ...rareFields({ sourceKey }) };
  }

  /** @throws Problem 404 or 410 if the book did not exist at that moment. */
  async book(id: string, asOf: Moment, includeAuthors: boolean, caller?: AbortSignal): Promise<BookView> {
    const { standing, stale } = await this.fold(bookStream(id), asOf, foldBook, caller);
    const { links, filedAs, sourceKey, ...row } = thereOr('book', standing);
    const book = { ...viewOf(row, stale), ...rareFields({ filedAs, sourceKey }) };
    if (!includeAuthors) return book;
    const authors: LinkedAuthor[] = [];
    const waitingAuthors: WaitingAuthor[] = [];
    const standings = await Promise.all(
      links.map(({ authorId }) => this.fold(authorStream(authorId), asOf, foldAuthor, caller)),
    );
    links.forEach(({ authorId: id, roles, creditedAs }, index) => {
      const link = { position: index + 1, roles: [...roles], creditedAs };
      const author = standings[index]?.standing;
      if (author && 'row' in author) authors.push({ id, name: author.row.name, ...link });
      else waitingAuthors.push({ id, ...link });
    });
    return { ...book, authors, ...(waitingAuthors.length > 0 && { waitingAuthors }) };
  }

  private async fold<Row>(
    stream: string,
    asOf: Moment,
    fold: (standing: Standing<Row>, event: RecordedEvent) => Known<Row>,
    caller: AbortSignal | undefined,
  ): Promise<{ standing: Standing<Row>; stale: boolean }> {
    if (await this.isToCome(asOf)) throw notYet();
    const history = await this.store.readStream(stream, { caller });
    const end = 'time' in asOf ? positionIn(history, asOf.time) : asOf.position;
    let standing: Standing<Row>;
    for (const event of history) {
      if (end === undefined || event.position > end) break;
      try {
        standing = fold(standing, event);
      } catch {
        // As in the tables: an event that can't be applied blocks later events of the stream.
        return { standing, stale: true };
      }
    }
    return { standing, stale: false };
  }

  /** Whether the moment is in the future. Such an answer would change later, so the request is refused. */
  private async isToCome(asOf: Moment): Promise<boolean> {
    if ('time' in asOf) return asOf.time.getTime() > Date.now();
    const head = await this.store.head();
    return head === undefined || asOf.position > head;
  }
}

function positionIn(history: readonly RecordedEvent[], time: Date): Position | undefined {
  const asOf = new AsOfTime(time);
  for (const event of history) asOf.take(event);
  return asOf.position;
}

const notYet = () =>
  invalidRequest([{ pointer: 'query/asOf', rule: 'as-of', detail: 'is still in the future of this log' }]);

function thereOr<Row>(kind: typeof AUTHOR | typeof BOOK, standing: Standing<Row>): Row {
  if (!standing)
    throw new Problem(404, `${kind}-not-found`, `There was no ${kind} with this id at that moment.`);
  if ('removed' in standing)
    throw new Problem(410, `${kind}-removed`, `The ${kind} had been removed before that moment.`);
  return standing.row;
}

const viewOf = <Row extends Pick<AuthorRow | BookRow, 'revision' | 'createdAt' | 'updatedAt'>>(
  row: Row,
  stale: boolean,
) => ({
  ...row,
  revision: row.revision.toString(),
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
  ...(stale && { stale }),
});
