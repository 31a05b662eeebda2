import { Injectable } from '@nestjs/common';
import { joinSurvivor, leaveRemovedAuthor } from '../books/book-cascade.js';
import { evolveBook, unknownBook } from '../books/book.js';
import { bookStream, flawOfBookEvent, type BookEvent, type Link } from '../books/book.events.js';
import { streamOfBook } from '../books/books.js';
import type { Happened } from '../changes/reversal.js';
import type { CommandContext } from '../commands/command-context.js';
import { begun, foldOn } from '../commands/streams.js';
import { DomainError } from '../domain-error.js';
import { EventStore, StreamDeleted, type RecordedEvent } from '../event-store/event-store.js';
import type { Redirect } from '../redirect.js';
import { Authors } from './authors.js';
import { BooksOfAuthor, type PageRequest } from './books-of-author.js';
import { decideMerge, type MergeAuthor } from './merge-author.js';
import { decideRemoval, type RemoveAuthor } from './remove-author.js';

/** What a removal or a merge of an author would do to the author's books, as a page. */
export interface Preview {
  readonly dryRun: true;
  readonly items: readonly BookEffect[];
  /** If a merge names a merged author: the last survivor. */
  readonly redirected?: readonly Redirect[];
  /** The cursor of the next page; null on the last page. */
  readonly next: string | null;
}

/** What would happen to a book. A parked book would stay as it is until an operator looks at the reason. */
export type BookEffect = { readonly id: string; readonly title: string } & (
  | { readonly does: 'unlinked' | 'removed' }
  /** With the survivor's link that results. */
  | ({ readonly does: 'relinked'; readonly position: number } & Pick<Link, 'roles' | 'creditedAs'>)
  | { readonly does: 'parked'; readonly why: string }
);

export interface PreviewRequest {
  /** Whose conditions and reasons to refuse hold, as for the command. */
  readonly context: CommandContext;
  readonly page: PageRequest;
  /** Aborts when the caller leaves. */
  readonly caller: AbortSignal;
}

type Decide = (history: readonly Happened<BookEvent>[]) => readonly BookEvent[];

/** Later than every event: the command's own event would be the last of the log. */
const AT_THE_END = 2n ** 64n;
/** Streams that a preview reads at once. One may be long. */
const AT_ONCE = 8;

/**
 * Dry runs of commands whose effect is in other streams. The decisions are those of the policies, over the streams of the
 * books, so that a dry run is exact. Nothing is written.
 */
@Injectable()
export class Previews {
  constructor(
    private readonly authors: Authors,
    private readonly booksOfAuthor: BooksOfAuthor,
    private readonly store: EventStore,
  ) {}

  /** @throws what the command throws if it is refused, and the errors of {@link BooksOfAuthor.page}. */
  async removal(command: Pick<RemoveAuthor, 'id' | 'books'>, request: PreviewRequest): Promise<Preview> {
    const { id: authorId } = command;
    const decide = decideRemoval(command, this.booksOfAuthor);
    const { events } = await this.authors.preview(authorId, request.context, decide);
    const [event] = events;
    const books = event?.type === 'AuthorRemoved' ? event.data.books : undefined;
    if (books === undefined) return NOTHING;
    const removal = { authorId, at: AT_THE_END, books };
    return this.effects(authorId, request, (history) => leaveRemovedAuthor(history, removal));
  }

  /** @throws as {@link removal}. */
  async merge(command: Pick<MergeAuthor, 'id' | 'into'>, request: PreviewRequest): Promise<Preview> {
    const { id: authorId } = command;
    const decide = decideMerge(command, this.authors);
    const { events, ...redirects } = await this.authors.preview(authorId, request.context, decide);
    const [event] = events;
    const author = await this.authors.load(authorId);
    if (event?.type !== 'AuthorMerged' || author.status === 'unknown') return { ...NOTHING, ...redirects };
    const merge = { authorId, name: author.name, into: event.data.into };
    const page = await this.effects(authorId, request, (history) => joinSurvivor(history, merge));
    return { ...page, ...redirects };
  }

  private async effects(
    authorId: string,
    { page, caller }: PreviewRequest,
    decide: Decide,
  ): Promise<Preview> {
    const { ids, next } = await this.booksOfAuthor.page(authorId, page);
    const items: BookEffect[] = [];
    for (let done = 0; done < ids.length; done += AT_ONCE) {
      const some = ids.slice(done, done + AT_ONCE);
      const effects = some.map((id) =>
        effectOn(id, () => this.store.readStream(bookStream(id), { caller }), decide),
      );
      items.push(...(await Promise.all(effects)).flat());
    }
    return { dryRun: true, items, next };
  }
}

const NOTHING: Preview = { dryRun: true, items: [], next: null };

/** @returns nothing if the book would stay as it is, because it does not link the author by now. */
async function effectOn(
  id: string,
  read: () => Promise<readonly RecordedEvent[]>,
  decide: Decide,
): Promise<BookEffect[]> {
  const of = streamOfBook(id);
  let history: readonly RecordedEvent[] = [];
  try {
    history = await read();
    const { state } = foldOn(of, begun(of), history);
    const title = state.status === 'unknown' ? '' : state.title;
    const decided = decide(history as readonly unknown[] as readonly Happened<BookEvent>[]);
    return decided.flatMap((event): BookEffect[] => {
      switch (event.type) {
        case 'BookUnlinked':
          return [{ id, title, does: 'unlinked' }];
        case 'BookRemoved':
          return [{ id, title, does: 'removed' }];
        case 'BookRelinked': {
          const { position, roles, creditedAs } = event.data;
          return [{ id, title, does: 'relinked', position, roles, creditedAs }];
        }
        default:
          return [];
      }
    });
  } catch (error) {
    if (!(error instanceof DomainError || error instanceof StreamDeleted)) throw error;
    return [{ id, title: titleIn(history), does: 'parked', why: error.message }];
  }
}

/** The title that the readable events give. */
function titleIn(history: readonly RecordedEvent[]): string {
  const readable = history.filter((event) => event.unreadable === undefined && !flawOfBookEvent(event));
  const book = (readable as readonly unknown[] as readonly BookEvent[]).reduce(evolveBook, unknownBook);
  return book.status === 'unknown' ? '' : book.title;
}
