import { z } from 'zod';
import { role } from '../../src/books/role-schemas.js';
import { canonicalUuid } from '../../src/http/schemas.js';

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

/** Selects a time as milliseconds since the epoch: PostgreSQL's text costs more to parse than the rest of the row. */
export const epoch = (column: string): string => `(date_part('epoch', ${column}) * 1000)::bigint`;
export const rfc3339 = (milliseconds: string): string => new Date(Number(milliseconds)).toISOString();

interface ResourceRecord {
  readonly id: string;
  readonly text: string;
  readonly sourceKey: string | null;
  readonly revision: string;
  readonly created: string;
  readonly updated: string;
  readonly stale: boolean;
}

/** A row of {@link authorColumns}, with {@link booksOfAuthor} if books are included. */
export interface AuthorRecord extends ResourceRecord {
  readonly books?: LinkedBook[];
}

/** A row of {@link bookColumns}, with {@link authorsOfBook} if authors are included. */
export interface BookRecord extends ResourceRecord {
  readonly filedAs: string | null;
  readonly authors?: LinkedAuthor[];
  readonly waiting?: WaitingAuthor[];
}

export const authorColumns = `a.id, a.name as text, a.source_key as "sourceKey", a.revision, ${epoch('a.created_at')} as created, ${epoch('a.updated_at')} as updated, a.stale`;
export const bookColumns = `b.id, b.title as text, b.filed_as as "filedAs", b.source_key as "sourceKey", b.revision, ${epoch('b.created_at')} as created, ${epoch('b.updated_at')} as updated, b.stale`;

// The server returns links as the JSON of the answer. Parsing links row by row took a third of a request's time.
const linkJson = (...owner: string[]) =>
  `json_build_object(${owner.join(', ')}, 'position', l.position, 'roles', l.roles, 'creditedAs', l.credited_as)`;

/** JSON of the first items of a list, and of one more, which shows that there are more. */
const first = (select: string, order: string): string =>
  `(select coalesce(json_agg(item), '[]') from (${select} order by ${order} limit ${MAX_INCLUDED + 1}) included)`;

/**
 * The order of the books of an author, with another expression than the index of titles. Without statistics, PostgreSQL
 * 15 reads the titles of all books for each author, to save the sort of some: 5 s instead of 15 ms for a page of authors.
 */
export const titleOfLinked = `b.title_sort || ''`;

/** Books of the author `a`, by title. */
export const booksOfAuthor = `${first(
  `select ${linkJson("'id', b.id", "'title', b.title")} as item from author_book l join books b on b.id = l.book_id where l.author_id = a.id`,
  `${titleOfLinked}, b.id`,
)} as books`;

/** Authors of the book `b`, in the book's order, and authors whose links wait. */
export const authorsOfBook = `${first(
  `select ${linkJson("'id', a.id", "'name', a.name")} as item from author_book l join authors a on a.id = l.author_id where l.book_id = b.id`,
  'l.position, a.id',
)} as authors, ${first(
  `select ${linkJson("'id', l.author_id")} as item from waiting_links l where l.book_id = b.id`,
  'l.position, l.author_id',
)} as waiting`;

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

const stampsOf = ({ revision, created, updated, stale }: ResourceRecord) => {
  const createdAt = rfc3339(created);
  const updatedAt = updated === created ? createdAt : rfc3339(updated);
  return { revision, createdAt, updatedAt, ...(stale && { stale }) };
};

export const toAuthor = (row: AuthorRecord): AuthorView => ({
  id: row.id,
  name: row.text,
  ...rareFields(row),
  ...stampsOf(row),
  ...(row.books && { books: row.books.slice(0, MAX_INCLUDED) }),
  ...((row.books?.length ?? 0) > MAX_INCLUDED && { moreBooks: true as const }),
});

export const toBook = (row: BookRecord): BookView => ({
  id: row.id,
  title: row.text,
  ...rareFields(row),
  ...stampsOf(row),
  ...(row.authors && { authors: row.authors.slice(0, MAX_INCLUDED) }),
  ...((row.authors?.length ?? 0) > MAX_INCLUDED && { moreAuthors: true as const }),
  ...(row.waiting?.length && { waitingAuthors: row.waiting.slice(0, MAX_INCLUDED) }),
  ...((row.waiting?.length ?? 0) > MAX_INCLUDED && { moreWaitingAuthors: true as const }),
});
