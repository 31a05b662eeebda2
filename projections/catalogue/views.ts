import { z } from 'zod';
import { role } from '../../src/books/role-schemas.js';
import { canonicalUuid } from '../../src/http/schemas.js';
import {
  json,
  jsonList,
  jsonObject,
  nullable,
  optional,
  plain,
  text,
  times,
} from '../../src/postgres/json-text.js';

/** Largest number of items in a list inside a resource. A page has up to 500 resources. */
export const MAX_INCLUDED = 100;

const linkShape = {
  position: z.int().describe("the author's place in the book's list, from 1"),
  roles: z.array(role),
  creditedAs: z.string().nullable().describe('the name as printed, if it differs; otherwise null'),
};

/** A book in an author's list. */
export const linkedBook = z.object({ id: canonicalUuid, title: z.string(), ...linkShape });
/** An author in a book's list. */
export const linkedAuthor = z.object({ id: canonicalUuid, name: z.string(), ...linkShape });
/** An author in a book's list whose link waits, because the author has been removed or is not in the tables. */
export const waitingAuthor = z.object({ id: canonicalUuid, ...linkShape });

const sourceKey = z.string().optional().describe('only if imported: the key of the source');
const stamps = {
  revision: z.string(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  stale: z
    .literal(true)
    .optional()
    .describe('only if an event of this resource could not be applied and is parked'),
};
export const authorView = z.object({
  id: canonicalUuid,
  name: z.string(),
  sourceKey,
  ...stamps,
  books: z.array(linkedBook).optional().describe(`with include=books: the first ${MAX_INCLUDED} by title`),
  moreBooks: z.literal(true).optional().describe('only if there are more books: see /authors/{id}/books'),
});
export const bookView = z.object({
  id: canonicalUuid,
  title: z.string(),
  filedAs: z.string().optional().describe('only if lists sort the title by another text'),
  sourceKey,
  ...stamps,
  authors: z.array(linkedAuthor).optional().describe(`with include=authors: the first ${MAX_INCLUDED}`),
  moreAuthors: z.literal(true).optional().describe('only if there are more authors: see /books/{id}/authors'),
  waitingAuthors: z
    .array(waitingAuthor)
    .optional()
    .describe(
      `with include=authors, only if there are any: the first ${MAX_INCLUDED} authors whose links wait for the author, such as a removed one`,
    ),
  moreWaitingAuthors: z.literal(true).optional().describe('only if more links wait'),
});

export type LinkedBook = z.output<typeof linkedBook>;
export type LinkedAuthor = z.output<typeof linkedAuthor>;
export type WaitingAuthor = z.output<typeof waitingAuthor>;
export type AuthorView = z.output<typeof authorView>;
export type BookView = z.output<typeof bookView>;

export const pageOf = (item: z.ZodType, more: z.ZodRawShape = {}) =>
  z.object({
    ...more,
    items: z.array(item),
    next: z.string().nullable().describe('cursor for `after`; null on the last page'),
  });

// The server writes the JSON of an answer: parsing rows and writing JSON took a third of a request's time.
const fieldsOf = (alias: 'a' | 'b') => ({
  sourceKey: optional(text(`${alias}.source_key`)),
  revision: plain(`${alias}.revision`),
  createdAt: times(`${alias}.created_at`, 'updatedAt', `${alias}.updated_at`),
  stale: optional(json(`case when ${alias}.stale then 'true' end`)),
});

const link = {
  position: json('l.position'),
  roles: json('to_json(l.roles)'),
  creditedAs: nullable(text('l.credited_as')),
};

/**
 * The order of the books of an author, with another expression than the index of titles. Without statistics, PostgreSQL
 * 15 reads the titles of all books for each author, to save the sort of some: 5 s instead of 15 ms for a page of authors.
 */
export const titleOfLinked = `b.title_sort || ''`;

/** Books of the author `a`, by title. */
const booksOfAuthor = jsonList(
  {
    name: 'books',
    item: jsonObject({ id: plain('b.id'), title: text('b.title'), ...link }),
    from: 'author_book l join books b on b.id = l.book_id where l.author_id = a.id',
    order: `${titleOfLinked}, b.id`,
  },
  { limit: MAX_INCLUDED, more: 'moreBooks' },
);

/** Authors of the book `b`, in the book's order. No two have the same position. */
const authorsOfBook = jsonList(
  {
    name: 'authors',
    item: jsonObject({ id: plain('a.id'), name: text('a.name'), ...link }),
    from: 'author_book l join authors a on a.id = l.author_id where l.book_id = b.id',
    order: 'l.position',
  },
  { limit: MAX_INCLUDED, more: 'moreAuthors' },
);

/** Authors of the book `b` whose links wait. Most catalogues have none: then, nothing is asked for each book. */
const waitingAuthorsOfBook = `case when (select true from waiting_links limit 1) then ${jsonList(
  {
    name: 'waitingAuthors',
    item: jsonObject({ id: plain('l.author_id'), ...link }),
    from: 'waiting_links l where l.book_id = b.id',
    order: 'l.position',
  },
  { limit: MAX_INCLUDED, more: 'moreWaitingAuthors', optional: true },
)} else '' end`;

const author = { id: plain('a.id'), name: text('a.name'), ...fieldsOf('a') };
const book = {
  id: plain('b.id'),
  title: text('b.title'),
  filedAs: optional(text('b.filed_as')),
  ...fieldsOf('b'),
};

/** SQL of an {@link AuthorView} of the row `a`. */
export const AUTHOR_JSON = jsonObject(author);
export const AUTHOR_JSON_WITH_BOOKS = jsonObject(author, [booksOfAuthor]);

/** SQL of a {@link BookView} of the row `b`. */
export const BOOK_JSON = jsonObject(book);
export const BOOK_JSON_WITH_AUTHORS = jsonObject(book, [authorsOfBook, waitingAuthorsOfBook]);

/** Fields that most authors and books don't have. */
export const rareFields = ({
  filedAs = null,
  sourceKey,
}: {
  filedAs?: string | null;
  sourceKey: string | null;
}) => ({
  ...(filedAs !== null && { filedAs }),
  ...(sourceKey !== null && { sourceKey }),
});
