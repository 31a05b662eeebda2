import { AuthorIsRemoved, AuthorNotFound, type Author } from '../authors/author.js';
import type { FromSource } from '../authors/author.events.js';
import { DomainError } from '../domain-error.js';
import type { Title } from '../text.js';
import type { BookEvent, Link } from './book.events.js';
import { MAX_APPEND_BYTES } from '../stored-data.js';
import { roleSet, type Role } from './roles.js';

/** The state of a book, as commands need it. Includes the links, so one revision covers the rules about links. */
export type Book =
  | { readonly status: 'unknown' }
  | ({ readonly status: 'live' | 'removed'; readonly links: readonly Link[] } & Title & FromSource);

type KnownBook = Exclude<Book, { status: 'unknown' }>;

export const unknownBook: Book = { status: 'unknown' };

/** Largest number of a book's authors, those included whose links wait for the author. */
export const MAX_AUTHORS = 1_000;
/** Largest number of entries in a list of authors. An author may stand there once for each role. */
export const MAX_LISTED = 2 * MAX_AUTHORS;
/**
 * Largest size of a book's title and links, in bytes of JSON. The restore of a book carries both in one append, of
 * {@link MAX_APPEND_BYTES} at most. So does an import, which adds 108 bytes for each author that it replaces.
 */
export const MAX_BOOK_BYTES = 786_432;

export function evolveBook(book: Book, event: BookEvent): Book {
  if (event.type === 'BookAdded') {
    const { title, filedAs, key } = event.data;
    return { status: 'live', title, filedAs, key, links: [] };
  }
  if (book.status === 'unknown') return book;
  switch (event.type) {
    case 'BookRetitled':
      return { ...book, title: event.data.title, filedAs: event.data.filedAs };
    case 'BookLinked': {
      const { position, ...link } = event.data;
      return { ...book, links: book.links.toSpliced(position - 1, 0, link) };
    }
    case 'BookLinkChanged':
      return {
        ...book,
        links: book.links.map((link) => (link.authorId === event.data.authorId ? event.data : link)),
      };
    case 'AuthorsReordered': {
      const place = new Map(event.data.authorIds.map((id, index) => [id, index]));
      const order = (link: Link) => place.get(link.authorId) ?? place.size;
      return { ...book, links: book.links.toSorted((a, b) => order(a) - order(b)) };
    }
    case 'BookUnlinked':
      return { ...book, links: book.links.filter((link) => link.authorId !== event.data.authorId) };
    case 'BookRelinked': {
      const { from, position, ...link } = event.data;
      const others = book.links.filter(({ authorId }) => authorId !== from && authorId !== link.authorId);
      return { ...book, links: others.toSpliced(position - 1, 0, link) };
    }
    case 'BookRemoved':
      return { ...book, status: 'removed' };
    case 'BookRestored':
      return {
        ...book,
        status: 'live',
        title: event.data.title,
        filedAs: event.data.filedAs,
        links: event.data.authors,
      };
  }
}

/** A request to link an author, with the author's current status. */
export interface LinkWish {
  readonly authorId: string;
  readonly author: Author['status'];
  readonly position?: number | undefined;
  readonly roles?: readonly Role[] | undefined;
  readonly creditedAs?: string | null | undefined;
}

export function addBook(
  book: Book,
  command: Title & FromSource & { authors: readonly Omit<LinkWish, 'position'>[] },
): BookEvent[] {
  if (book.status !== 'unknown') throw new BookAlreadyExists();
  const events: BookEvent[] = [{ type: 'BookAdded', data: { ...titleOf(command), ...keyOf(command) } }];
  listed(command.authors).forEach((wish, index) => events.push(linked(wish, index + 1)));
  return withinLimits(book, events);
}

/**
 * The authors of a list, who must be linkable or linked already. An author who is listed several times has one link: at
 * the first place, in all the roles, with the first credit that there is.
 * @param linkedNow ids of the book's authors.
 */
function listed(authors: readonly LinkWish[], linkedNow: ReadonlySet<string> = new Set()): LinkWish[] {
  const wishes = new Map<string, LinkWish>();
  authors.forEach((wish, index) => {
    const { authorId, author, roles = AS_AUTHOR, creditedAs } = wish;
    if (author !== 'live' && !linkedNow.has(authorId))
      throw new AuthorNotLinkable(author).at(`/authors/${index}/authorId`);
    const first = wishes.get(authorId);
    const united = first && {
      ...first,
      roles: [...(first.roles ?? AS_AUTHOR), ...roles],
      creditedAs: first.creditedAs ?? creditedAs,
    };
    wishes.set(authorId, united ?? wish);
  });
  return [...wishes.values()];
}

export const retitleBook = (book: Book, command: Title): BookEvent[] =>
  withinLimits(book, retitle(book, command));

function retitle(book: Book, command: Title): BookEvent[] {
  const { title, filedAs } = live(book);
  return title === command.title && filedAs === command.filedAs
    ? []
    : [{ type: 'BookRetitled', data: titleOf(command) }];
}

/**
 * Links an author, or changes the existing link. Fields that the request leaves out stay unchanged. A new link
 * defaults to the last position, the role of author, and no other credit. A request that matches the existing link
 * changes nothing. An existing link can be changed while the link waits for the author.
 */
export const linkAuthor = (book: Book, wish: LinkWish): BookEvent[] => withinLimits(book, link(book, wish));

function link(book: Book, wish: LinkWish): BookEvent[] {
  const { links } = live(book);
  const index = links.findIndex(({ authorId }) => authorId === wish.authorId);
  const current = links[index];
  if (!current && wish.author === 'unknown') throw new AuthorNotFound();
  if (!current && wish.author === 'removed') throw new AuthorIsRemoved();
  const last = current ? links.length : links.length + 1;
  if (wish.position !== undefined && wish.position > last) throw new PositionOutOfRange(last).at('/position');
  if (!current) return [linked(wish, wish.position ?? last)];

  const events: BookEvent[] = [];
  const roles = wish.roles ? roleSet(wish.roles) : current.roles;
  const creditedAs = wish.creditedAs === undefined ? current.creditedAs : wish.creditedAs;
  if (roles.join() !== current.roles.join() || creditedAs !== current.creditedAs)
    events.push({ type: 'BookLinkChanged', data: { authorId: wish.authorId, roles, creditedAs } });
  if (wish.position !== undefined && wish.position !== index + 1) {
    const authorIds = idsOf(links)
      .toSpliced(index, 1)
      .toSpliced(wish.position - 1, 0, wish.authorId);
    events.push({ type: 'AuthorsReordered', data: { authorIds } });
  }
  return events;
}

export function unlinkAuthor(book: Book, command: { authorId: string }): BookEvent[] {
  const linkedNow = idsOf(live(book).links).includes(command.authorId);
  return linkedNow ? [{ type: 'BookUnlinked', data: { authorId: command.authorId } }] : [];
}

/**
 * The new order must name each of the book's authors once. Authors whose links wait may be left out, and then keep their
 * places.
 * @param command.waiting the authors of the book who can't be linked now.
 */
export function reorderAuthors(
  book: Book,
  command: { authorIds: readonly string[]; waiting?: ReadonlySet<string> },
): BookEvent[] {
  const current = idsOf(live(book).links);
  const named = new Set(command.authorIds);
  const leftOut = leftOutOf(book, command.authorIds);
  if (
    named.size < command.authorIds.length ||
    named.size + leftOut.length !== current.length ||
    !leftOut.every((id) => command.waiting?.has(id))
  )
    throw new NotTheBooksAuthors().at('/authorIds');
  const next = command.authorIds.values();
  const authorIds = current.map((id) => (named.has(id) ? (next.next().value ?? id) : id));
  return authorIds.join() === current.join() ? [] : [{ type: 'AuthorsReordered', data: { authorIds } }];
}

/** The authors of the book that a list does not name. */
export function leftOutOf(book: Book, authorIds: readonly string[]): string[] {
  const named = new Set(authorIds);
  return book.status === 'unknown' ? [] : idsOf(book.links).filter((id) => !named.has(id));
}

/** A book that no append can carry as a whole could not be restored. Only an older version let a book grow so large. */
export function removeBook(book: Book): BookEvent[] {
  if (book.status === 'unknown') throw new BookNotFound();
  if (book.status === 'removed') return [];
  if (bytesOf(book) > MAX_APPEND_BYTES) throw new BookTooLarge();
  return [{ type: 'BookRemoved', data: {} }];
}

/** The book comes back with all its links. Links to authors who have been removed wait for them. */
export function restoreBook(book: Book): BookEvent[] {
  if (book.status === 'unknown') throw new BookNotFound();
  if (book.status === 'live') return [];
  return [{ type: 'BookRestored', data: { ...titleOf(book), ...keyOf(book), authors: book.links } }];
}

/**
 * An imported line states the wanted book. An unknown book is added; a known book is retitled. If the line lists
 * authors, the book is linked to exactly these authors, in this order. Only differences become events.
 */
export function importBook(
  book: Book,
  command: Title & FromSource & { authors: readonly Omit<LinkWish, 'position'>[] | undefined },
): BookEvent[] {
  if (book.status === 'unknown') return addBook(book, { ...command, authors: command.authors ?? [] });
  const events = retitle(book, command);
  if (!command.authors) return withinLimits(book, events);
  const linkedNow = idsOf(live(book).links);
  const authors = listed(command.authors, new Set(linkedNow));

  let state: Book = book;
  const take = (decided: BookEvent[]) => {
    events.push(...decided);
    state = decided.reduce(evolveBook, state);
  };
  const wanted = new Set(authors.map((wish) => wish.authorId));
  for (const authorId of linkedNow) if (!wanted.has(authorId)) take(unlinkAuthor(state, { authorId }));
  for (const wish of authors) take(link(state, wish));
  take(reorderAuthors(state, { authorIds: [...wanted] }));
  return withinLimits(book, events);
}

/**
 * Refuses events that take a book beyond a limit. An older version may have let the book grow beyond a limit. Such a
 * book may stay as large, or shrink.
 */
export function withinLimits(before: Book, events: BookEvent[]): BookEvent[] {
  const after = events.reduce(evolveBook, before);
  const linksOf = (book: Book) => (book.status === 'unknown' ? 0 : book.links.length);
  if (linksOf(after) > MAX_AUTHORS && linksOf(after) > linksOf(before)) throw new TooManyAuthors();
  if (bytesOf(after) > MAX_BOOK_BYTES && bytesOf(after) > bytesOf(before)) throw new BookTooLarge();
  return events;
}

/** Size of title and links, in bytes of JSON. Of a book that is far from the limit, a larger number. */
function bytesOf(book: Book): number {
  if (book.status === 'unknown') return 0;
  const { links, ...rest } = book;
  // A UTF-16 unit has 6 bytes at most, and a role 100 letters. Nearly every book is small enough by this measure, which
  // reads no text.
  let most = 100 + 6 * (rest.title.length + (rest.filedAs?.length ?? 0) + (rest.key?.length ?? 0));
  for (const { roles, creditedAs } of links) most += 100 + 103 * roles.length + 6 * (creditedAs?.length ?? 0);
  return most <= MAX_BOOK_BYTES
    ? most
    : Buffer.byteLength(JSON.stringify({ ...titleOf(rest), ...keyOf(rest), authors: links }));
}

export const idsOf = (links: readonly Link[]): string[] => links.map(({ authorId }) => authorId);

function live(book: Book): KnownBook {
  if (book.status === 'unknown') throw new BookNotFound();
  if (book.status === 'removed') throw new BookIsRemoved();
  return book;
}

export const titleOf = ({ title, filedAs }: Title): Title => ({
  title,
  ...(filedAs !== undefined && { filedAs }),
});
const keyOf = ({ key }: FromSource): FromSource => (key === undefined ? {} : { key });

const AS_AUTHOR: readonly Role[] = ['author'];

function linked(wish: LinkWish, position: number): BookEvent {
  const roles = roleSet(wish.roles ?? AS_AUTHOR);
  return {
    type: 'BookLinked',
    data: { authorId: wish.authorId, position, roles, creditedAs: wish.creditedAs ?? null },
  };
}

export class BookNotFound extends DomainError {
  readonly kind = 'not-found';
  readonly rule = 'book-not-found';
  override message = 'There is no book with this id.';
}

export class BookAlreadyExists extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'book-already-exists';
  override message = 'A book with this id already exists.';
}

export class BookIsRemoved extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'book-removed';
  override message = 'The book has been removed; restore the book first.';
}

/** The book's list names an author that doesn't exist or has been removed. */
export class AuthorNotLinkable extends DomainError {
  readonly kind = 'unprocessable';
  readonly rule: string;
  constructor(status: 'unknown' | 'removed') {
    super(status === 'unknown' ? 'There is no author with this id.' : 'The author has been removed.');
    this.rule = status === 'unknown' ? 'author-not-found' : 'author-removed';
  }
}

export class TooManyAuthors extends DomainError {
  readonly kind = 'unprocessable';
  readonly rule = 'too-many-authors';
  override message = `A book has at most ${MAX_AUTHORS} authors, removed authors with waiting links included.`;
}

export class BookTooLarge extends DomainError {
  readonly kind = 'unprocessable';
  readonly rule = 'book-too-large';
  override message = `A book has at most ${MAX_BOOK_BYTES} bytes, with its title, its links and their credits. Shorten credits or unlink authors.`;
}

export class PositionOutOfRange extends DomainError {
  readonly kind = 'unprocessable';
  readonly rule = 'position-out-of-range';
  constructor(last: number) {
    super(`The position must be between 1 and ${last}.`);
  }
}

export class NotTheBooksAuthors extends DomainError {
  readonly kind = 'unprocessable';
  readonly rule = 'not-the-books-authors';
  override message =
    "The list must name each of the book's authors exactly once. Only waiting links may be left out.";
}
