import { Injectable } from '@nestjs/common';
import { AUTHOR, authorStream } from '../../src/authors/author.events.js';
import { BOOK, bookStream } from '../../src/books/book.events.js';
import { EventStore, type Position } from '../../src/event-store/event-store.js';
import { positionOf, YetToCome, type Moment } from '../../src/event-store/moment.js';
import { within } from '../../src/event-store/within.js';
import { invalidRequest, Problem } from '../../src/http/problem.js';
import { NO_SKIPS, readSkips, type Skips } from '../skips.js';
import { CATALOGUE, foldAuthor, foldBook } from './fold.js';
import { foldStream, type Fold } from './fold-stream.js';
import { Merged, notInTables } from './read-model.js';
import { intoOf } from './redirects.js';
import type { AuthorRow, BookRow, Standing } from './rows.js';
import {
  rareFields,
  type AuthorView,
  type BookView,
  type LinkedAuthor,
  type WaitingAuthor,
} from './views.js';

/** The first search for a time reads the whole log. A caller waits so long, and a later one finds what was read. */
const PATIENCE_MS = 5_000;

/** The log up to the moment that a caller asks about. */
interface Past {
  readonly end: Position | undefined;
  readonly skips: Skips;
  readonly caller: AbortSignal | undefined;
}

/** Single authors and books as of a moment, folded from their streams by the projection's own fold. */
@Injectable()
export class CatalogueAsOf {
  constructor(private readonly store: EventStore) {}

  /**
   * @throws Merged if the author was merged into another at that moment.
   * @throws Problem 404, 410 or 503 if the author was not in the tables at that moment.
   */
  async author(id: string, asOf: Moment, caller?: AbortSignal): Promise<AuthorView> {
    const past = await this.upTo(asOf, caller);
    const folded = await this.fold(authorStream(id), past, foldAuthor);
    const survivor = await this.survivor(folded.standing, past);
    if (survivor !== undefined) throw new Merged(survivor);
    const { sourceKey, ...author } = thereOr('author', folded);
    return { ...viewOf(author, folded.stale), ...rareFields({ sourceKey }) };
  }

  /** @throws Problem 404, 410 or 503 if the book was not in the tables at that moment. */
  async book(id: string, asOf: Moment, includeAuthors: boolean, caller?: AbortSignal): Promise<BookView> {
    const past = await this.upTo(asOf, caller);
    const folded = await this.fold(bookStream(id), past, foldBook);
    const { links, filedAs, sourceKey, ...row } = thereOr('book', folded);
    const book = { ...viewOf(row, folded.stale), ...rareFields({ filedAs, sourceKey }) };
    if (!includeAuthors) return book;
    const authors: LinkedAuthor[] = [];
    const waitingAuthors: WaitingAuthor[] = [];
    const standings = await Promise.all(
      links.map(({ authorId }) => this.fold(authorStream(authorId), past, foldAuthor)),
    );
    links.forEach(({ authorId: id, roles, creditedAs }, index) => {
      const link = { position: index + 1, roles: [...roles], creditedAs };
      const author = standings[index]?.standing;
      if (author && 'row' in author) authors.push({ id, name: author.row.name, ...link });
      else waitingAuthors.push({ id, ...link });
    });
    return { ...book, authors, ...(waitingAuthors.length > 0 && { waitingAuthors }) };
  }

  /** The last author of a chain of merges; undefined if the author was not merged, or the chain was a circle. */
  private async survivor(standing: Standing<AuthorRow>, past: Past): Promise<string | undefined> {
    const met = new Set<string>();
    for (let next = intoOf(standing); next !== undefined;) {
      if (met.has(next)) return undefined;
      met.add(next);
      next = intoOf((await this.fold(authorStream(next), past, foldAuthor)).standing);
    }
    return [...met].at(-1);
  }

  /** @throws Problem 400 if the moment is yet to come. The answer would change later. */
  private async upTo(asOf: Moment, caller: AbortSignal | undefined): Promise<Past> {
    const end = await within(performance.now() + PATIENCE_MS, positionOf(this.store, asOf)).catch(
      (error: unknown) => {
        throw error instanceof YetToCome ? notYet() : error;
      },
    );
    const skips =
      end === undefined ? NO_SKIPS : await readSkips(this.store, { name: CATALOGUE }, end, caller);
    return { end, skips, caller };
  }

  private async fold<Row>(
    stream: string,
    { end, skips, caller }: Past,
    fold: Fold<Row>,
  ): Promise<ReturnType<typeof foldStream<Row>>> {
    const history = await this.store.readStream(stream, { caller });
    const events = history.filter(({ position }) => end !== undefined && position <= end);
    return foldStream(undefined, events, skips, fold);
  }
}

const notYet = () =>
  invalidRequest([{ pointer: 'query/asOf', rule: 'as-of', detail: 'is still in the future of this log' }]);

function thereOr<Row>(
  kind: typeof AUTHOR | typeof BOOK,
  { standing, stale }: { standing: Standing<Row>; stale: boolean },
): Row {
  if (!standing)
    throw stale
      ? notInTables(kind)
      : new Problem(404, `${kind}-not-found`, `There was no ${kind} with this id at that moment.`);
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
