import { isKeyOrNone, isStorableText, isUuid, type UnknownEvent } from '../stored-data.js';

/** The events of an author's stream, `author-<uuid>`. Names and shapes are the wire format: they never change. */
export type AuthorEvent =
  | { readonly type: 'AuthorAdded'; readonly data: { readonly name: string } & FromSource }
  | { readonly type: 'AuthorRenamed'; readonly data: { readonly name: string } }
  /** `books` says what happens to the author's books; without it, there were none. */
  | { readonly type: 'AuthorRemoved'; readonly data: { readonly books?: BooksOfRemoved } }
  /** Carries the name and key that the author had at removal, so the author keeps them. */
  | { readonly type: 'AuthorRestored'; readonly data: { readonly name: string } & FromSource }
  /** The author is the same person as another, who takes over the books. */
  | { readonly type: 'AuthorMerged'; readonly data: { readonly into: string } };

/** What a removal does to the author's books: `remove-sole-authored` unlinks those that have other authors too. */
export const BOOKS_OF_REMOVED = ['unlink', 'remove-sole-authored', 'remove-all'] as const;
export type BooksOfRemoved = (typeof BOOKS_OF_REMOVED)[number];

/** An author or book that was imported has a key of the source. */
export interface FromSource {
  readonly key?: string | undefined;
}

export const AUTHOR = 'author';
export const authorStream = (id: string): string => `${AUTHOR}-${id}`;

/** Why an event can't be one of an author's stream; undefined if the event can be one. */
export function flawOfAuthorEvent({ type, data }: UnknownEvent): string | undefined {
  const { name, key, books, into } = data as Record<string, unknown>;
  switch (type as AuthorEvent['type']) {
    case 'AuthorAdded':
    case 'AuthorRestored':
      return isStorableText(name) ? (isKeyOrNone(key) ? undefined : NO_KEY) : NO_NAME;
    case 'AuthorRenamed':
      return isStorableText(name) ? undefined : NO_NAME;
    case 'AuthorRemoved':
      return books === undefined || (BOOKS_OF_REMOVED as readonly unknown[]).includes(books)
        ? undefined
        : 'this version does not know what it does to books';
    case 'AuthorMerged':
      return isUuid(into) ? undefined : 'its into is not a UUID';
    default:
      return 'this version does not know its type';
  }
}

const NO_NAME = 'its name is not text that a table can hold';
const NO_KEY = 'its key is not text that a table can hold';
