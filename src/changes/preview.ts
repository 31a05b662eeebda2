import { Injectable } from '@nestjs/common';
import { AUTHOR } from '../authors/author.events.js';
import { evolveBook, unknownBook } from '../books/book.js';
import { BOOK, bookStream } from '../books/book.events.js';
import { DomainError } from '../domain-error.js';
import {
  categoryOf,
  EventStore,
  idOf,
  StreamDeleted,
  type Position,
  type RecordedEvent,
} from '../event-store/event-store.js';
import { StreamSearch } from '../event-store/stream-search.js';
import { isUuid } from '../stored-data.js';
import { LinkedBooks } from './linked-books.js';
import type { LeftAlone, Undo } from './reversal.js';
import { understoodBook } from './understood.js';
import { Undoing } from './undoing.js';

/** What a revert would do in one stream. */
export interface StreamPreview {
  readonly stream: string;
  readonly events: readonly { readonly type: string; readonly data: object }[];
  readonly left: readonly LeftAlone[];
  /** Why an operator would have to look at the stream. */
  readonly error?: string;
}

export interface PreviewPage {
  readonly streams: readonly StreamPreview[];
  /** The place to go on from; undefined at the end. */
  readonly next: Position | undefined;
}

/** Later than every event. */
const AT_THE_END = 2n ** 63n - 1n;
/** Streams that a preview reads at once. One may be long. */
const AT_ONCE = 8;
/** Books of an author that are looked at. An author with more counts as an author with books. */
const MOST_BOOKS = 10_000;
const BOOKS_AT_ONCE = 64;

/** Dry runs of reverts. The decisions are those of the policies. Nothing is written. */
@Injectable()
export class RevertPreviews {
  constructor(
    private readonly store: EventStore,
    private readonly streams: StreamSearch,
    private readonly books: LinkedBooks,
  ) {}

  /**
   * The streams that a revert of the change would look at, each once.
   * @param limit number of events to look at. A page may have fewer streams, or none.
   */
  async page(
    change: string,
    by: string,
    { after, limit }: { readonly after?: Position | undefined; readonly limit: number },
    caller: AbortSignal,
  ): Promise<PreviewPage> {
    const undo: Undo = { change, before: AT_THE_END, by };
    const read = (stream: string) => this.store.readStream(stream, { caller });
    const undoing = new Undoing(read, undo, true);
    const { streams, next } = await this.streams.ofChange(change, { after, look: limit });
    const previews: StreamPreview[] = [];
    for (let done = 0; done < streams.length; done += AT_ONCE) {
      const some = streams.slice(done, done + AT_ONCE).map(async (stream) => {
        const history = await read(stream).catch(noneIfDeleted);
        const first = history.find(({ metadata }) => metadata.correlationId === change);
        // The stream is on an earlier page.
        if (!first || (after !== undefined && first.position <= after)) return [];
        return this.preview(stream, history, undoing, caller);
      });
      previews.push(...(await Promise.all(some)).flat());
    }
    return { streams: previews, next };
  }

  private async preview(
    stream: string,
    history: readonly RecordedEvent[],
    undoing: Undoing,
    caller: AbortSignal,
  ): Promise<StreamPreview[]> {
    const category = categoryOf(stream);
    if (!isUuid(idOf(stream)) || (category !== BOOK && category !== AUTHOR)) return [];
    try {
      const { events, left } =
        category === BOOK
          ? await undoing.inBook(history)
          : await undoing.inAuthor(history, await this.keepers(idOf(stream), undoing, caller));
      return events.length + left.length > 0 ? [{ stream, events, left }] : [];
    } catch (error) {
      if (!isParked(error)) throw error;
      return [{ stream, events: [], left: [], error: error.message }];
    }
  }

  /** Number of live books that would still link the author after the revert; 1 for more than one. */
  private async keepers(authorId: string, undoing: Undoing, caller: AbortSignal): Promise<number> {
    const ids = await this.books.of(authorId, MOST_BOOKS + 1);
    if (ids.length > MOST_BOOKS) return 1;
    for (let done = 0; done < ids.length; done += BOOKS_AT_ONCE) {
      caller.throwIfAborted();
      const some = ids.slice(done, done + BOOKS_AT_ONCE).map((id) => this.keeps(id, authorId, undoing));
      if ((await Promise.all(some)).includes(true)) return 1;
    }
    return 0;
  }

  private async keeps(bookId: string, authorId: string, undoing: Undoing): Promise<boolean> {
    try {
      const history = await this.store.readStream(bookStream(bookId));
      const { events } = await undoing.inBook(history);
      const book = [...understoodBook(history).happened, ...events].reduce(evolveBook, unknownBook);
      return book.status === 'live' && book.links.some((link) => link.authorId === authorId);
    } catch (error) {
      if (!isParked(error)) throw error;
      // The book stays as it is, and the tables have its link.
      return true;
    }
  }
}

/** Whether policies park a stream with this error. */
const isParked = (error: unknown): error is DomainError | StreamDeleted =>
  error instanceof DomainError || error instanceof StreamDeleted;

function noneIfDeleted(error: unknown): never[] {
  if (error instanceof StreamDeleted) return [];
  throw error;
}
