import { DomainError } from '../domain-error.js';
import type { AuthorEvent, BooksOfRemoved, FromSource } from './author.events.js';

/** The state of an author, as commands on that author need it. */
export type Author =
  | { readonly status: 'unknown' }
  | ({
      readonly status: 'live' | 'removed';
      readonly name: string;
      /** The author whom this one was merged into. Such an author is not live. */
      readonly mergedInto?: string;
      /** Whether a revert removed the author. Then an import brings the author back. */
      readonly reverted?: true;
    } & FromSource);

/** Whether an author can be linked. A merged author's place is taken by the last survivor. */
export interface AuthorStanding {
  /** Id of the author, or of the last survivor. */
  readonly id: string;
  readonly status: Author['status'];
  /** The name of the author who was asked for, if that author was merged: what a book prints if it says nothing else. */
  readonly name?: string;
}

export const unknownAuthor: Author = { status: 'unknown' };

/** An event that was recorded has metadata, and an event that a decision returns has none. */
export function evolveAuthor(author: Author, event: AuthorEvent & MaybeReverting): Author {
  const key = author.status === 'unknown' ? undefined : author.key;
  switch (event.type) {
    case 'AuthorAdded':
      return { status: 'live', name: event.data.name, key: event.data.key };
    case 'AuthorRenamed':
      return { status: 'live', name: event.data.name, key };
    case 'AuthorRestored':
      return { status: 'live', name: event.data.name, key: event.data.key ?? key };
    case 'AuthorRemoved':
      if (author.status === 'unknown') return author;
      return { status: 'removed', name: author.name, key, ...revertedBy(event) };
    case 'AuthorMerged':
      if (author.status === 'unknown') return author;
      return { status: 'removed', name: author.name, key, mergedInto: event.data.into };
  }
}

/** The part of a recorded event's metadata that a fold looks at. */
export interface MaybeReverting {
  readonly metadata?: { readonly reverts?: string };
}

/** Part of the state of what an event removed: whether the event was part of a revert. */
export const revertedBy = ({ metadata }: MaybeReverting): { readonly reverted?: true } =>
  metadata?.reverts === undefined ? {} : { reverted: true };

export function addAuthor(author: Author, { name, key }: { name: string } & FromSource): AuthorEvent[] {
  if (author.status !== 'unknown') throw new AuthorAlreadyExists();
  return [{ type: 'AuthorAdded', data: { name, ...(key !== undefined && { key }) } }];
}

export function renameAuthor(author: Author, command: { name: string }): AuthorEvent[] {
  const { name } = live(author);
  return name === command.name ? [] : [{ type: 'AuthorRenamed', data: { name: command.name } }];
}

/**
 * @param command.books what the removal does to books; or how many books are linked to the author, who is then removed
 *        only without books.
 */
export function removeAuthor(author: Author, command: { books: BooksOfRemoved | number }): AuthorEvent[] {
  const { books } = command;
  if (unmerged(author).status === 'removed') return [];
  if (typeof books !== 'number') return [{ type: 'AuthorRemoved', data: { books } }];
  if (books > 0) throw new AuthorHasBooks(books);
  return [{ type: 'AuthorRemoved', data: {} }];
}

export const restoreAuthor = (author: Author): AuthorEvent[] => bringBack(unmerged(author));

/** Like {@link restoreAuthor}, but a merged author comes back too: only reverts and policies may do that. */
export function bringBack(author: Author): AuthorEvent[] {
  if (author.status !== 'removed') return [];
  const { name, key } = author;
  return [{ type: 'AuthorRestored', data: { name, ...(key !== undefined && { key }) } }];
}

/**
 * The author is the same person as another. A merge that was done before changes nothing.
 * @param command.id of the author.
 * @param command.into the standing of the author who takes over: a merged author's last survivor takes over.
 * @param command.survivor the author's own last survivor; undefined unless the author is merged.
 */
export function mergeAuthor(
  author: Author,
  { id, into, survivor }: { id: string; into: AuthorStanding; survivor?: string | undefined },
): AuthorEvent[] {
  if (isMerged(author) && into.id === survivor) return [];
  live(author);
  if (into.id === id) throw new MergedIntoItself().at('/into');
  if (into.status === 'unknown') throw new AuthorNotFound().at('/into');
  if (into.status === 'removed') throw new AuthorIsRemoved().at('/into');
  return [{ type: 'AuthorMerged', data: { into: into.id } }];
}

/**
 * An imported line states the wanted author: added if unknown, renamed if the name differs. An author whom a revert
 * removed is restored. Of a merged author, the line says nothing: the survivor has another name.
 */
export function importAuthor(author: Author, command: { name: string } & FromSource): AuthorEvent[] {
  if (author.status === 'unknown') return addAuthor(author, command);
  if (isMerged(author)) return [];
  if (!author.reverted) return renameAuthor(author, command);
  const restored = restoreAuthor(author);
  return [...restored, ...renameAuthor(restored.reduce(evolveAuthor, author), command)];
}

export const isMerged = (author: Author): author is KnownAuthor & { readonly mergedInto: string } =>
  author.status !== 'unknown' && author.mergedInto !== undefined;

type KnownAuthor = Exclude<Author, { status: 'unknown' }>;

function unmerged(author: Author): KnownAuthor {
  if (author.status === 'unknown') throw new AuthorNotFound();
  if (isMerged(author)) throw new AuthorIsMerged(author.mergedInto);
  return author;
}

function live(author: Author): KnownAuthor {
  const known = unmerged(author);
  if (known.status === 'removed') throw new AuthorIsRemoved();
  return known;
}

export class AuthorNotFound extends DomainError {
  readonly kind = 'not-found';
  readonly rule = 'author-not-found';
  override message = 'There is no author with this id.';
}

export class AuthorAlreadyExists extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'author-already-exists';
  override message = 'An author with this id already exists.';
}

export class AuthorIsRemoved extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'author-removed';
  override message = 'The author has been removed; restore the author first.';
}

export class AuthorHasBooks extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'author-has-books';
  constructor(books: number) {
    super(`The author is linked to ${books} book${books === 1 ? '' : 's'}; unlink or remove them first.`);
  }
}

export class AuthorIsMerged extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'author-merged';
  override readonly members: { readonly survivor: string };
  constructor(survivor: string) {
    super(`The author was merged into the author ${survivor}; change that author instead.`);
    this.members = { survivor };
  }
}

export class MergedIntoItself extends DomainError {
  readonly kind = 'unprocessable';
  readonly rule = 'merged-into-itself';
  override message = 'An author cannot be merged into itself, nor into an author who was merged into it.';
}
