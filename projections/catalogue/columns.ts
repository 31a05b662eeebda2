import type { QueryConfig } from 'pg';
import type { CopyValue } from '../../src/postgres/copy.js';
import { arrayLiteral } from '../../src/postgres/array-literal.js';
import type { AuthorRow, BookRow, LinkRow, MergedRow, Removed } from './rows.js';
import { searchWords, sortKey } from './search-text.js';

type SqlType = 'uuid' | 'text' | 'text[]' | 'integer' | 'bigint' | 'timestamptz';

/** A column of a table. Loading, storing and bulk loading take their lists of columns from here. */
interface Column<Row> {
  readonly name: string;
  readonly type: SqlType;
  readonly value: (row: Row) => CopyValue;
  /** The property of the row that is loaded from the column; undefined if other columns give the value. */
  readonly property?: string;
}

const fact = <Row extends Record<Property, CopyValue>, Property extends string>(
  property: Property,
  type: SqlType,
): Column<Row> => ({
  name: property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  type,
  value: (row) => row[property],
  property,
});

const derived = <Row>(name: string, type: SqlType, value: (row: Row) => CopyValue): Column<Row> => ({
  name,
  type,
  value,
});

/** A link with its book, and its position in the book's list. */
export interface PlacedLink extends LinkRow {
  readonly bookId: string;
  readonly position: number;
}

export const AUTHOR_COLUMNS: readonly Column<AuthorRow>[] = [
  fact('id', 'uuid'),
  fact('name', 'text'),
  derived('name_sort', 'text', ({ name }) => sortKey(name)),
  derived('words', 'text', ({ name }) => searchWords(name)),
  fact('sourceKey', 'text'),
  fact('revision', 'bigint'),
  fact('createdAt', 'timestamptz'),
  fact('updatedAt', 'timestamptz'),
];

export const titleSort = ({ title, filedAs }: BookRow): string => sortKey(filedAs ?? title);

export const BOOK_COLUMNS: readonly Column<BookRow>[] = [
  fact('id', 'uuid'),
  fact('title', 'text'),
  derived('title_sort', 'text', titleSort),
  fact('filedAs', 'text'),
  fact('sourceKey', 'text'),
  fact('revision', 'bigint'),
  fact('createdAt', 'timestamptz'),
  fact('updatedAt', 'timestamptz'),
];

export const LINK_COLUMNS: readonly Column<PlacedLink>[] = [
  fact('authorId', 'uuid'),
  fact('bookId', 'uuid'),
  fact('position', 'integer'),
  fact('roles', 'text[]'),
  fact('creditedAs', 'text'),
  fact('linkedAt', 'timestamptz'),
  fact('linkedBy', 'text'),
  fact('eventId', 'uuid'),
];

/** A book with the words that a search looks at. */
type BookWords = BookRow & { readonly words: string };

export const BOOK_WORDS_COLUMNS: readonly Column<BookWords>[] = [
  derived('book_id', 'uuid', ({ id }) => id),
  derived('title_sort', 'text', titleSort),
  fact('createdAt', 'timestamptz'),
  derived('words', 'text', ({ words }) => words),
];

export const REMOVED_COLUMNS: readonly Column<Removed & { readonly kind: string }>[] = [
  fact('kind', 'text'),
  fact('id', 'uuid'),
  fact('revision', 'bigint'),
  fact('createdAt', 'timestamptz'),
  fact('removedAt', 'timestamptz'),
];

export const MERGED_COLUMNS: readonly Column<MergedRow>[] = [
  fact('authorId', 'uuid'),
  fact('intoId', 'uuid'),
  fact('survivorId', 'uuid'),
];

/** Listed by name, because a table changed over several versions may have its columns in another order. */
export const namesOf = (columns: readonly Column<never>[]): string =>
  columns.map(({ name }) => name).join(', ');

/** The values of a row, in the order of the columns. */
export const valuesOf = <Row>(columns: readonly Column<Row>[], row: Row): CopyValue[] =>
  columns.map(({ value }) => value(row));

/** A select list that gives each column the name of the row's property. */
export const selected = (columns: readonly Column<never>[]): string =>
  columns.flatMap(({ name, property }) => (property ? `${name} as "${property}"` : [])).join(', ');

/**
 * Inserts rows, or replaces rows with the same key, in one statement.
 * @param key names of the key's columns.
 * @param where a condition on `new`, the rows to insert.
 */
export function upsert<Row>(
  table: string,
  columns: readonly Column<Row>[],
  key: readonly string[],
  rows: readonly Row[],
  where = 'true',
): QueryConfig {
  const names = namesOf(columns);
  const arrays = columns.map(({ type }, index) => `$${index + 1}::${type === 'text[]' ? 'text' : type}[]`);
  const read = columns.map(({ name, type }) => (type === 'text[]' ? `string_to_array(${name}, ',')` : name));
  const others = columns.filter(({ name }) => !key.includes(name));
  return {
    name: `upsert ${table} ${where}`.slice(0, 63),
    text: `insert into ${table} (${names})
           select ${read.join(', ')} from unnest(${arrays.join(', ')}) new (${names}) where ${where}
           on conflict (${key.join(', ')}) do update
             set ${others.map(({ name }) => `${name} = excluded.${name}`).join(', ')}`,
    values: columns.map(({ value }) => arrayLiteral(rows.map((row) => value(row)))),
  };
}
