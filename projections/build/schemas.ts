import { createHash } from 'node:crypto';
import type { ClientBase } from 'pg';
import { OperatorError } from '../../src/errors.js';
import type { Queryable } from '../../src/postgres/database.js';
import { isLockTimeout } from '../../src/postgres/errors.js';

/** A schema name is reserved, or the schema holds something else. */
export class SchemaTaken extends OperatorError {}

/** Start of the comment on every schema that Colophon creates. */
const MARK = 'Made by Colophon';
/** PostgreSQL cuts longer names. */
const LONGEST_NAME = 63;

/** Name of the schema for a piece of work on the tables of `schema`. */
export function schemaFor(work: 'rebuild' | 'verify' | 'building' | 'model' | 'old', schema: string): string {
  const name = `colophon_${work}_${schema}`;
  if (name.length <= LONGEST_NAME) return name;
  return `colophon_${work}_${createHash('sha256').update(schema).digest('hex').slice(0, 32)}`;
}

/** The statement that marks a schema as Colophon's, and names its content. */
export const markSchema = (schema: string, holds: string): string =>
  `comment on schema "${schema}" is '${MARK}: ${holds}'`;

/** The comment of a schema that Colophon created; null for other schemas; undefined if no such schema exists. */
export async function markOf(db: Queryable | ClientBase, schema: string): Promise<string | null | undefined> {
  const { rows } = await db.query<{ comment: string | null }>(
    `select obj_description(oid, 'pg_namespace') as comment from pg_namespace where nspname = $1`,
    [schema],
  );
  const [row] = rows;
  return row && (row.comment?.startsWith(MARK) ? row.comment : null);
}

/**
 * Drops a schema that Colophon created. Does nothing if no such schema exists.
 * @throws SchemaTaken if Colophon did not create the schema, or a session uses its tables.
 */
export async function dropSchema(db: Queryable | ClientBase, schema: string): Promise<void> {
  const mark = await markOf(db, schema);
  if (mark === null) throw new SchemaTaken(`the schema ${schema} was not created by Colophon`);
  if (mark === undefined) return;
  await db.query(`drop schema "${schema}" cascade`).catch((error: unknown) => {
    throw isLockTimeout(error)
      ? new SchemaTaken(`a session is reading from ${schema}, which must be cleared first`)
      : error;
  });
}
