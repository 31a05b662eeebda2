import { AuthorIsRemoved, AuthorNotFound, type Author } from '../authors/author.js';
import type { FromSource } from '../authors/author.events.js';
import { DomainError } from '../domain-error.js';
import type { Title } from '../text.js';
import type { BookEvent, Link } from './book.events.js';
import { roleSet, type Role } from './roles.js';

/** The state of a book, as commands need it. Includes the links, so one revision covers the rules about links. */
export type Book =
  | { readonly status: 'unknown' }
  | ({ readonly status: 'live' | 'removed'; readonly links: readonly Link[] } & Title & FromSource);

type KnownBook = Exclude<Book, { status: 'unknown' }>;

export const unknownBook: Book = { status: 'unknown' };

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
  return events;
}

/**
 * The authors of a list, who must be linkable. An author who is listed several times has one link: at the first place,
 * in all the roles, with the first credit that there is.
 */
function listed(authors: readonly LinkWish[]): LinkWish[] {
  const wishes = new Map<string, LinkWish>();
  authors.forEach((wish, index) => {
    const { authorId, author, roles = AS_AUTHOR, creditedAs } = wish;
    if (author !== 'live') throw new AuthorNotLinkable(author).at(`/authors/${index}/authorId`);
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

export function retitleBook(book: Book, command: Title): BookEvent[] {
  const { title, filedAs } = live(book);
  return title === command.title && filedAs === command.filedAs
    ? []
    : [{ type: 'BookRetitled', data: titleOf(command) }];
}

/**
 * Links an author, or changes the existing link. Fields that the request leaves out stay unchanged. A new link
 * defaults to the last position, the role of author, and no other credit. A request that matches the existing link
 * changes nothing.
 */
export function linkAuthor(book: Book, wish: LinkWish): BookEvent[] {
  const { links } = live(book);
  if (wish.author === 'unknown') throw new AuthorNotFound();
  if (wish.author === 'removed') throw new AuthorIsRemoved();
  const index = links.findIndex((link) => link.authorId === wish.authorId);
  const current = links[index];
  const last = current ? links.length : links.length + 1;
  if (wish.position !== undefined && wish.position > last) throw new PositionOutOfRange(last).at('/position');
  if (!current) return [linked(wish, wish.position ?? last)];

  const events: BookEvent[] = [];
  const roles = wish.roles ? roleSet(wish.roles) : current.roles;
  const creditedAs = wish.creditedAs === undefined ? current.creditedAs : wish.creditedAs;
  if (roles.join() !== current.roles.join() || creditedAs !== current.creditedAs)
    events.push({ type: 'BookLinkChanged', data: { authorId: wish.authorId, roles, creditedAs } });
  if (wish.position !== undefined && wish.position !== index + 1) {
    const ids = links.map((link) => link.authorId);
    const authorIds = ids.toSpliced(index, 1).toSpliced(wish.position - 1, 0, wish.authorId);
    events.push({ type: 'AuthorsReordered', data: { authorIds } });
  }
  return events;
}

export function unlinkAuthor(book: Book, command: { authorId: string }): BookEvent[] {
  const linkedNow = live(book).links.some((link) => link.authorId === command.authorId);
  return linkedNow ? [{ type: 'BookUnlinked', data: { authorId: command.authorId } }] : [];
}

/** The new order must name each of the book's authors once. */
export function reorderAuthors(book: Book, command: { authorIds: readonly string[] }): BookEvent[] {
  const current = live(book).links.map((link) => link.authorId);
  const { authorIds } = command;
  if (authorIds.toSorted().join() !== current.toSorted().join())
    throw new NotTheBooksAuthors().at('/authorIds');
  return authorIds.join() === current.join() ? [] : [{ type: 'AuthorsReordered', data: { authorIds } }];
}

export function removeBook(book: Book): BookEvent[] {
  if (book.status === 'unknown') throw new BookNotFound();
  return book.status === 'removed' ? [] : [{ type: 'BookRemoved', data: {} }];
}

/** @param command.liveAuthors the authors of the book who can be linked now. */
export function restoreBook(book: Book, command: { liveAuthors: ReadonlySet<string> }): BookEvent[] {
  if (book.status === 'unknown') throw new BookNotFound();
  if (book.status === 'live') return [];
  const authors = book.links.filter((link) => command.liveAuthors.has(link.authorId));
  return [{ type: 'BookRestored', data: { ...titleOf(book), ...keyOf(book), authors } }];
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
  const events = retitleBook(book, command);
  if (!command.authors) return events;
  const authors = listed(command.authors);

  let state: Book = book;
  const take = (decided: BookEvent[]) => {
    events.push(...decided);
    state = decided.reduce(evolveBook, state);
  };
  const wanted = new Set(authors.map((wish) => wish.authorId));
  for (const { authorId } of live(book).links)
    if (!wanted.has(authorId)) take(unlinkAuthor(state, { authorId }));
  for (const wish of authors) take(linkAuthor(state, wish));
  take(reorderAuthors(state, { authorIds: [...wanted] }));
  return events;
}

function live(book: Book): KnownBook {
  if (book.status === 'unknown') throw new BookNotFound();
  if (book.status === 'removed') throw new BookIsRemoved();
  return book;
}

const titleOf = ({ title, filedAs }: Title): Title => ({
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
  override message = "The list must name each of the book's authors exactly once.";
}
