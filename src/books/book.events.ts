import type { FromSource } from '../authors/author.events.js';
import { isKeyOrNone, isStorableText, isUuid, type UnknownEvent } from '../stored-data.js';
import type { Title } from '../text.js';
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
  | { readonly type: 'BookAdded'; readonly data: Title & FromSource }
  | { readonly type: 'BookRetitled'; readonly data: Title }
  /** The author enters the book's list at `position`. Authors at `position` and after move down by one. */
  | { readonly type: 'BookLinked'; readonly data: Link & { readonly position: number } }
  | { readonly type: 'BookLinkChanged'; readonly data: Link }
  /** Names all authors of the book, in the new order. */
  | { readonly type: 'AuthorsReordered'; readonly data: { readonly authorIds: readonly string[] } }
  /** The author leaves the list. Authors after the gap move up by one. */
  | { readonly type: 'BookUnlinked'; readonly data: { readonly authorId: string } }
  /**
   * The author `from` leaves the list. The author `authorId`, who may be in the list already, has this link afterwards, at
   * this position of the list that results. All others keep their order.
   */
  | {
      readonly type: 'BookRelinked';
      readonly data: Link & { readonly from: string; readonly position: number };
    }
  | { readonly type: 'BookRemoved'; readonly data: Record<string, never> }
  /** Carries the book as of its removal. An older version left out links to authors that had been removed since. */
  | {
      readonly type: 'BookRestored';
      readonly data: Title & FromSource & { readonly authors: readonly Link[] };
    };

export const BOOK = 'book';
export const bookStream = (id: string): string => `${BOOK}-${id}`;

/** Why an event can't be one of a book's stream; undefined if the event can be one. */
export function flawOfBookEvent({ type, data }: UnknownEvent): string | undefined {
  const { authorId, authorIds, authors, position, from } = data as Record<string, unknown>;
  switch (type as BookEvent['type']) {
    case 'BookAdded':
    case 'BookRetitled':
      return flawOfTitle(data);
    case 'BookLinked':
      return isPosition(position) ? flawOfLink(data) : 'its position is not a whole number from 1';
    case 'BookRelinked':
      if (!isUuid(from)) return 'its from is not a UUID';
      return isPosition(position) ? flawOfLink(data) : 'its position is not a whole number from 1';
    case 'BookLinkChanged':
      return flawOfLink(data);
    case 'AuthorsReordered':
      return flawOfList(authorIds, (id) => (isUuid(id) ? undefined : NO_AUTHOR_ID));
    case 'BookUnlinked':
      return isUuid(authorId) ? undefined : NO_AUTHOR_ID;
    case 'BookRemoved':
      return undefined;
    case 'BookRestored':
      return flawOfTitle(data) ?? flawOfList(authors, flawOfLink);
    default:
      return 'this version does not know its type';
  }
}

const NO_AUTHOR_ID = 'its authorId is not a UUID';
/** A later version may know more roles: a role is any word. The word `null` has a meaning of its own in an array's text. */
const WORD = /^(?!null$)[a-z]{1,100}$/;

const isPosition = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 1;

function flawOfTitle(data: object): string | undefined {
  const { title, filedAs, key } = data as Record<string, unknown>;
  if (!isStorableText(title)) return 'its title is not text that a table can hold';
  if (filedAs !== undefined && !isStorableText(filedAs))
    return 'its filedAs is not text that a table can hold';
  return isKeyOrNone(key) ? undefined : 'its key is not text that a table can hold';
}

function flawOfLink(link: unknown): string | undefined {
  const { authorId, roles, creditedAs } = Object(link) as Record<string, unknown>;
  if (!isUuid(authorId)) return NO_AUTHOR_ID;
  if (creditedAs !== null && !isStorableText(creditedAs))
    return 'its creditedAs is not text that a table can hold';
  if (!Array.isArray(roles) || !roles.every((role) => typeof role === 'string' && WORD.test(role)))
    return 'its roles are not a list of words';
  return undefined;
}

function flawOfList(list: unknown, flawOf: (item: unknown) => string | undefined): string | undefined {
  if (!Array.isArray(list)) return 'its authors are not a list';
  const flaw = list.map(flawOf).find((found) => found !== undefined);
  if (flaw !== undefined) return flaw;
  const ids = list.map((item: unknown) => (typeof item === 'string' ? item : (item as Link).authorId));
  return new Set(ids).size < ids.length ? 'an author is listed twice' : undefined;
}
