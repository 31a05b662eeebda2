import type { ClientBase } from 'pg';
import { OperatorError } from '../../src/errors.js';
import type { Queryable } from '../../src/postgres/database.js';

/** A schema can't be built where something else is. */
export class SchemaTaken extends OperatorError {}

/** Begins the comment on every schema that is made here. */
const MARK = 'Made by Colophon';

/** Says of a schema that it is ours, and what it holds. */
export const markSchema = (schema: string, holds: string): string =>
  `comment on schema ${schema} is '${MARK}: ${holds}'`;

/** The comment of a schema of ours, null of somebody else's; undefined where there is no such schema. */
export async function markOf(db: Queryable | ClientBase, schema: string): Promise<string | null | undefined> {
  const { rows } = await db.query<{ comment: string | null }>(
    `select obj_description(oid, 'pg_namespace') as comment from pg_namespace where nspname = $1`,
    [schema],
  );
  const [row] = rows;
  return row && (row.comment?.startsWith(MARK) ? row.comment : null);
}

/**
 * Drops a schema that was made here.
 * @throws SchemaTaken where it is somebody else's.
 */
export async function dropSchema(db: Queryable | ClientBase, schema: string): Promise<void> {
  const mark = await markOf(db, schema);
  if (mark === null) throw new SchemaTaken(`the schema ${schema} holds something that is not ours`);
  if (mark !== undefined) await db.query(`drop schema ${schema} cascade`);
}
