import { DomainError } from '../domain-error.js';
import type { AuthorEvent, FromSource } from './author.events.js';

/** The state of an author, as commands on that author need it. */
export type Author =
  | { readonly status: 'unknown' }
  | ({
      readonly status: 'live' | 'removed';
      readonly name: string;
      /** The author whom this one was merged into. Such an author is not live. */
      readonly mergedInto?: string;
    } & FromSource);

/** Whether an author can be linked. A merged author's place is taken by the last survivor. */
export interface AuthorStanding {
  /** Id of the author, or of the last survivor. */
  readonly id: string;
  readonly status: Author['status'];
}

export const unknownAuthor: Author = { status: 'unknown' };

export function evolveAuthor(author: Author, event: AuthorEvent): Author {
  switch (event.type) {
    case 'AuthorAdded':
      return { status: 'live', name: event.data.name, key: event.data.key };
    case 'AuthorRenamed':
      return { ...author, status: 'live', name: event.data.name };
    case 'AuthorRestored': {
      const { name, key = author.status === 'unknown' ? undefined : author.key } = event.data;
      return { status: 'live', name, key };
    }
    case 'AuthorRemoved':
      return author.status === 'unknown' ? author : { ...author, status: 'removed' };
    case 'AuthorMerged':
      return author.status === 'unknown'
        ? author
        : { ...author, status: 'removed', mergedInto: event.data.into };
  }
}

export function addAuthor(author: Author, { name, key }: { name: string } & FromSource): AuthorEvent[] {
  if (author.status !== 'unknown') throw new AuthorAlreadyExists();
  return [{ type: 'AuthorAdded', data: { name, ...(key !== undefined && { key }) } }];
}

export function renameAuthor(author: Author, command: { name: string }): AuthorEvent[] {
  const { name } = live(author);
  return name === command.name ? [] : [{ type: 'AuthorRenamed', data: { name: command.name } }];
}

/** @param command.books how many books are linked to the author. */
export function removeAuthor(author: Author, command: { books: number }): AuthorEvent[] {
  if (author.status === 'unknown') throw new AuthorNotFound();
  if (author.status === 'removed') return [];
  if (command.books > 0) throw new AuthorHasBooks(command.books);
  return [{ type: 'AuthorRemoved', data: {} }];
}

export function restoreAuthor(author: Author): AuthorEvent[] {
  if (author.status === 'unknown') throw new AuthorNotFound();
  const { status, name, key } = author;
  return status === 'live'
    ? []
    : [{ type: 'AuthorRestored', data: { name, ...(key !== undefined && { key }) } }];
}

/** An imported line states the wanted author: added if unknown, renamed if the name differs. */
export function importAuthor(author: Author, command: { name: string } & FromSource): AuthorEvent[] {
  return author.status === 'unknown' ? addAuthor(author, command) : renameAuthor(author, command);
}

function live(author: Author): Author & { status: 'live' | 'removed' } {
  if (author.status === 'unknown') throw new AuthorNotFound();
  if (author.status === 'removed') throw new AuthorIsRemoved();
  return author;
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

export class MergingNotAvailable extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'merging-not-available';
  override message = 'Merging authors is not available yet.';
}
