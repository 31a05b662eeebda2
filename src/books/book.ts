import {
  AuthorIsRemoved,
  AuthorNotFound,
  revertedBy,
  type Author,
  type MaybeReverting,
} from '../authors/author.js';
import type { FromSource } from '../authors/author.events.js';
import { DomainError } from '../domain-error.js';
import type { Redirect } from '../redirect.js';
import type { Title } from '../text.js';
import type { BookEvent, Link } from './book.events.js';
import { MAX_APPEND_BYTES } from '../stored-data.js';
import { roleSet, type Role } from './roles.js';

/** The state of a book, as commands need it. Includes the links, so one revision covers the rules about links. */
export type Book =
  | { readonly status: 'unknown' }
  | ({
      readonly status: 'live' | 'removed';
      readonly links: readonly Link[];
      /** Whether a revert removed the book. Then an import brings the book back. */
      readonly reverted?: true;
    } & Title &
      FromSource);

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

/** An event that was recorded has metadata, and an event that a decision returns has none. */
export function evolveBook(book: Book, event: BookEvent & MaybeReverting): Book {
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
      return { ...book, status: 'removed', ...revertedBy(event) };
    case 'BookRestored': {
      const { title, filedAs, authors: links } = event.data;
      return { status: 'live', title, filedAs, key: book.key, links };
    }
  }
}

/** An author as a request names it, with the author's standing. */
export interface NamedAuthor {
  /** Of the author who can be linked: of the last survivor, if the author that the request names was merged. */
  readonly authorId: string;
  readonly author: Author['status'];
  /** The merged author that the request names. */
  readonly merged?: { readonly id: string; readonly name: string } | undefined;
}

/** A request to link an author. */
export interface LinkWish extends NamedAuthor {
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
  listed(command.authors, book).forEach((wish, index) => events.push(linked(wish, index + 1)));
  return withinLimits(book, events);
}

/**
 * Whom a request means. A merged author stands for the last survivor. But a merge takes its time, and as long as the book
 * still links the merged author, the request means that link.
 */
function meant<Named extends Pick<NamedAuthor, 'authorId' | 'merged'>>(named: Named, book: Book): Named {
  const { merged } = named;
  return merged && linksTo(book, merged.id) ? { ...named, authorId: merged.id, merged: undefined } : named;
}

/** The authors of a request whose place is taken by others. */
export function redirectsOf(book: Book, named: readonly NamedAuthor[]): Redirect[] {
  const redirects = named.flatMap((one) => {
    const { merged, authorId } = meant(one, book);
    return merged ? [[merged.id, authorId] as const] : [];
  });
  return [...new Map(redirects)].map(([from, to]) => ({ from, to }));
}

/**
 * The authors of a list, who must be linkable or linked already. An author who is listed several times has one link: at
 * the first place, in all the roles, with the first credit that there is.
 */
function listed(authors: readonly LinkWish[], book: Book): LinkWish[] {
  const wishes = new Map<string, LinkWish>();
  authors.forEach((named, index) => {
    const wish = meant(named, book);
    const { authorId, author, roles = AS_AUTHOR, creditedAs, merged } = wish;
    if (author !== 'live' && !linksTo(book, authorId))
      throw new AuthorNotLinkable(author).at(`/authors/${index}/authorId`);
    const first = wishes.get(authorId);
    const united = first && {
      ...first,
      roles: [...(first.roles ?? AS_AUTHOR), ...roles],
      creditedAs: first.creditedAs ?? creditedAs,
      // A list that names the survivor too says what the book prints for the survivor.
      merged: merged && first.merged,
    };
    wishes.set(authorId, united ?? wish);
  });
  return [...wishes.values()];
}

/** The credit of a new link. A book that names a merged author and no other credit prints the name of that author. */
const creditOf = ({ creditedAs, merged }: LinkWish): string | null => creditedAs ?? merged?.name ?? null;

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

function link(book: Book, named: LinkWish): BookEvent[] {
  const { links } = live(book);
  const wish = meant(named, book);
  const index = links.findIndex(({ authorId }) => authorId === wish.authorId);
  const current = links[index];
  if (!current && wish.author === 'unknown') throw new AuthorNotFound();
  if (!current && wish.author === 'removed') throw new AuthorIsRemoved();
  const last = current ? links.length : links.length + 1;
  if (wish.position !== undefined && wish.position > last) throw new PositionOutOfRange(last).at('/position');
  if (!current) return [linked(wish, wish.position ?? last)];

  const events: BookEvent[] = [];
  const roles = wish.roles ? roleSet(wish.roles) : current.roles;
  const creditedAs = wish.creditedAs === undefined ? current.creditedAs : creditOf(wish);
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

export function unlinkAuthor(book: Book, command: Pick<NamedAuthor, 'authorId' | 'merged'>): BookEvent[] {
  const { links } = live(book);
  const { authorId } = meant(command, book);
  return idsOf(links).includes(authorId) ? [{ type: 'BookUnlinked', data: { authorId } }] : [];
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

/** The authors that a list names, and the book does not link. */
export function notLinkedBy(book: Book, authorIds: readonly string[]): string[] {
  const linkedNow = new Set(book.status === 'unknown' ? [] : idsOf(book.links));
  return authorIds.filter((id) => !linkedNow.has(id));
}

/**
 * A list of authors, with survivors in the place of merged authors. Two who were merged are one, at the first place. An id
 * that the list names twice stays there twice.
 */
export function redirect(authorIds: readonly string[], redirects: readonly Redirect[]): readonly string[] {
  if (new Set(authorIds).size < authorIds.length) return authorIds;
  const survivors = new Map(redirects.map(({ from, to }) => [from, to]));
  return [...new Set(authorIds.map((id) => survivors.get(id) ?? id))];
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
 * An imported line states the wanted book. An unknown book is added; a known book is retitled; a book that a revert
 * removed is restored first. If the line lists authors, the book is linked to exactly these authors, in this order. Only
 * differences become events.
 */
export function importBook(
  book: Book,
  command: Title & FromSource & { authors: readonly Omit<LinkWish, 'position'>[] | undefined },
): BookEvent[] {
  if (book.status === 'unknown') return addBook(book, { ...command, authors: command.authors ?? [] });
  let state: Book = book;
  const events: BookEvent[] = [];
  const take = (decided: BookEvent[]) => {
    events.push(...decided);
    state = decided.reduce(evolveBook, state);
  };
  if (book.reverted) take(restoreBook(book));
  take(retitle(state, command));
  if (!command.authors) return withinLimits(book, events);
  const linkedNow = idsOf(live(state).links);
  const authors = listed(command.authors, book);
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

const linksTo = (book: Book, id: string): boolean =>
  book.status !== 'unknown' && book.links.some(({ authorId }) => authorId === id);

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
    data: { authorId: wish.authorId, position, roles, creditedAs: creditOf(wish) },
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
