import type { Role } from './roles.js';

/** An author's part in a book. A link's position is the author's place in the book's list, counted from 1. */
export interface Link {
  readonly authorId: string;
  readonly roles: readonly Role[];
  /** The author's name as printed in the book; null if the book prints the author's own name. */
  readonly creditedAs: string | null;
}

/** The events of a book's stream, `book-<uuid>`. Names and shapes are the wire format: they never change. */
export type BookEvent =
  | { readonly type: 'BookAdded'; readonly data: { readonly title: string } }
  | { readonly type: 'BookRetitled'; readonly data: { readonly title: string } }
  /** The author enters the book's list at `position`. Authors at `position` and after move down by one. */
  | { readonly type: 'BookLinked'; readonly data: Link & { readonly position: number } }
  | { readonly type: 'BookLinkChanged'; readonly data: Link }
  /** Names all authors of the book, in the new order. */
  | { readonly type: 'AuthorsReordered'; readonly data: { readonly authorIds: readonly string[] } }
  /** The author leaves the list. Authors after the gap move up by one. */
  | { readonly type: 'BookUnlinked'; readonly data: { readonly authorId: string } }
  | { readonly type: 'BookRemoved'; readonly data: Record<string, never> }
  /** Carries the book as of its removal, without links to authors that have been removed since. */
  | {
      readonly type: 'BookRestored';
      readonly data: { readonly title: string; readonly authors: readonly Link[] };
    };

export const BOOK = 'book';
export const bookStream = (id: string): string => `${BOOK}-${id}`;
