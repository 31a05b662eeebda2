import type { Role } from './roles.js';

/** An author's part in a book. Its position is its place in the book's list, counted from 1. */
export interface Link {
  readonly authorId: string;
  readonly roles: readonly Role[];
  /** The name as printed in the book, null where it is the author's name. */
  readonly creditedAs: string | null;
}

/** The events of a book's stream, `book-<uuid>`. Names and shapes are the wire format: they never change. */
export type BookEvent =
  | { readonly type: 'BookAdded'; readonly data: { readonly title: string } }
  | { readonly type: 'BookRetitled'; readonly data: { readonly title: string } }
  /** The author enters the book's list at `position`; those from there on move one further. */
  | { readonly type: 'BookLinked'; readonly data: Link & { readonly position: number } }
  | { readonly type: 'BookLinkChanged'; readonly data: Link }
  /** All of the book's authors in their new order. */
  | { readonly type: 'AuthorsReordered'; readonly data: { readonly authorIds: readonly string[] } }
  /** The author leaves the list; those behind move up. */
  | { readonly type: 'BookUnlinked'; readonly data: { readonly authorId: string } }
  | { readonly type: 'BookRemoved'; readonly data: Record<string, never> }
  /** Carries what the book was when removed, less the links to authors who are gone since. */
  | {
      readonly type: 'BookRestored';
      readonly data: { readonly title: string; readonly authors: readonly Link[] };
    };

export const BOOK = 'book';
export const bookStream = (id: string): string => `${BOOK}-${id}`;
