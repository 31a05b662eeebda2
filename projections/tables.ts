import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientBase, Pool, QueryConfig } from 'pg';
import { transaction, type Queryable } from '../src/postgres/database.js';
import type { Projection } from './projection.js';
import { beginCheckpoint, readCheckpoint, TablesOfAnotherLog, type Target } from './checkpoint.js';
import { OperatorError } from './operator-error.js';

// The tables that SQL clients know, `catalogue.authors`, are partitioned tables of a single partition each. What they hold
// is in the partition, in a schema of its own, `catalogue_a` or `catalogue_b`. A rebuild fills the schema that is free,
// and exchanges the partitions: views, grants, publications and comments belong to the tables, and stay.

/** The schemas that what is published in `schema` is kept in, by turns. */
const homesOf = (schema: string) => [`${schema}_a`, `${schema}_b`] as const;

const sql = (file: string) => readFileSync(join(import.meta.dirname, file), 'utf8');

/** Longer than PostgreSQL takes to send a vacuum of its own away, for locks that no reader waits behind. */
const PATIENCE = '3s';
/** The projector waits while what is free is cleared. */
const CLEAR_TIMEOUT = '1s';

/** Where the rows are now, and where the next tables can be built. */
export async function homeOf(
  db: Queryable | ClientBase,
  schema: string,
): Promise<{ home: string | undefined; free: string }> {
  const { rows } = await db.query<{ home: string }>(
    `select c.relnamespace::regnamespace::text as home from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = to_regclass($1)`,
    [`${schema}.checkpoint`],
  );
  const home = rows[0]?.home;
  const [a, b] = homesOf(schema);
  return { home, free: home === a ? b : a };
}

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

/**
 * Drops what stands where the next tables can be built: left over from a rebuild, or replaced by it. For who holds the
 * rebuild's lock.
 * @returns the schema that is free.
 * @throws SchemaTaken where it is somebody else's, or somebody reads in it.
 */
export function dropFree(pool: Pool, schema: string): Promise<string> {
  return transaction(pool, (client) => dropFreeIn(client, schema));
}

/**
 * The same for who doesn't hold the lock: it is held meanwhile.
 * @param lock its key.
 * @returns false, and nothing is dropped, where somebody holds it.
 * @throws SchemaTaken
 */
export function dropFreeUnder(pool: Pool, schema: string, lock: string): Promise<boolean> {
  return transaction(pool, async (client) => {
    const { rows } = await client.query<{ locked: boolean }>(
      'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as locked',
      [lock],
    );
    if (!rows[0]?.locked) return false;
    await dropFreeIn(client, schema);
    return true;
  });
}

async function dropFreeIn(client: ClientBase, schema: string): Promise<string> {
  await client.query(`set local client_min_messages = warning; set local lock_timeout = '${CLEAR_TIMEOUT}'`);
  // An exchange whose connection was lost may be at its end just now: it is waited for, before it is asked which it is.
  await client.query(`lock table ${schema}.checkpoint in share mode`);
  const { free } = await homeOf(client, schema);
  await dropSchema(client, free).catch((error: unknown) => {
    throw isLockTimeout(error)
      ? new SchemaTaken(`somebody is reading in ${free}, which is to be cleared`)
      : error;
  });
  return free;
}

/** Makes a schema with the bare tables in it: no keys, no indexes, no rows. */
export async function createTables(client: ClientBase, { projection, schema }: Target): Promise<void> {
  await client.query('create extension if not exists pg_trgm with schema public');
  await client.query(`create schema ${schema}; ${markSchema(schema, `tables of ${projection.name}`)}`);
  await inSchema(client, schema, `${projection.columns()}; ${sql('tables.sql')}`);
}

/** The statements that give the tables of {@link createTables} their primary keys and indexes. */
export const keys = ({ projection }: Target): string[] =>
  `${projection.keys()}; ${sql('keys.sql')}`
    .replace(/--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');

/** Runs statements with unqualified names, in one transaction, whose search path is the schema's from here on. */
export async function inSchema(client: ClientBase, schema: string, statements: string): Promise<void> {
  await client.query(`set local search_path to ${schema}, public; ${statements}`);
}

/**
 * Makes the tables where there are none.
 * @param anyLog leaves tables of another log as they are.
 * @throws TablesOfAnotherLog rather than mix in what belongs to another log; unless anyLog.
 */
export async function ensureTables(pool: Pool, target: Target, anyLog = false): Promise<void> {
  const { projection, schema, log } = target;
  await transaction(pool, async (client) => {
    await client.query(`select pg_advisory_xact_lock(hashtextextended('colophon tables ' || $1, 0))`, [
      schema,
    ]);
    await client.query('set local client_min_messages = warning');
    const { rows } = await client.query<{ kind: string | null }>(
      'select (select relkind from pg_class where oid = to_regclass($1)) as kind',
      [`${schema}.checkpoint`],
    );
    const kind = rows[0]?.kind;
    const [first] = homesOf(schema);
    if (kind === 'r') await adopt(client, target, first);
    const current = kind === null ? undefined : await readCheckpoint(client, schema, projection);
    if (current && current.log !== log && !anyLog) throw new TablesOfAnotherLog(schema);
    if (!current) {
      await dropSchema(client, first);
      const made = { ...target, schema: first };
      await createTables(client, made);
      for (const statement of keys(made)) await client.query(statement);
      await beginCheckpoint(client, made);
      await client.query(`create schema if not exists ${schema}`);
      await client.query((await publication(client, schema, first)).join(';'));
      await inSchema(client, schema, projection.references());
    }
    await client.query(
      `create table if not exists ${schema}.rebuilds (
         id uuid primary key, started_at timestamptz not null default now(), started_by text not null,
         phase text not null, done bigint not null, total bigint not null,
         updated_at timestamptz not null default now(), ended_at timestamptz, error text)`,
    );
  });
}

/** Tables from before they were partitions become them. */
async function adopt(client: ClientBase, { projection, schema }: Target, home: string): Promise<void> {
  await dropSchema(client, home);
  await client.query(`create schema ${home}; ${markSchema(home, `tables of ${projection.name}`)}`);
  const { rows } = await client.query<{ name: string; references: string[] | null }>(
    `select relname as name, (select array_agg(conname::text) from pg_constraint where conrelid = c.oid and contype = 'f')
       as references
     from pg_class c where relnamespace = $1::regnamespace and relkind = 'r' and relname = any($2)`,
    [schema, ownTables(projection)],
  );
  for (const { name, references } of rows)
    for (const key of references ?? [])
      await client.query(`alter table ${schema}.${name} drop constraint ${key}`);
  for (const { name } of rows) await client.query(`alter table ${schema}.${name} set schema ${home}`);
  await client.query((await publication(client, schema, home)).join(';'));
}

/** All tables of a projection's schema. */
export const ownTables = ({ tables }: Projection): string[] => [...tables, 'checkpoint', 'parked'];

interface Column {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly fallback: string | null;
}

interface Table {
  readonly name: string;
  readonly columns: Column[];
  readonly key: string[] | null;
  /** Name of the primary key's constraint. */
  readonly constraint: string | null;
}

const tablesOf = async (client: ClientBase, schema: string, kind: 'r' | 'p'): Promise<Table[]> => {
  const { rows } = await client.query<Table>(
    `select c.relname as name,
       (select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                                          'required', a.attnotnull,
         'fallback', (select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d where d.adrelid = c.oid and d.adnum = a.attnum))
         order by a.attnum)
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
       (select json_agg(a.attname order by array_position(i.indkey::smallint[], a.attnum))
        from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary) as key,
       (select conname from pg_constraint where conrelid = c.oid and contype = 'p') as constraint
     from pg_class c
     where c.relnamespace = to_regnamespace($1) and c.relkind = $2 order by c.oid`,
    [schema, kind],
  );
  return rows;
};

/** The columns of a table's primary key, and all of them. */
export async function describeTable(
  client: ClientBase,
  schema: string,
  name: string,
): Promise<{ key: string[]; columns: string[] }> {
  const tables = [...(await tablesOf(client, schema, 'r')), ...(await tablesOf(client, schema, 'p'))];
  const table = tables.find((one) => one.name === name);
  if (!table?.key) throw new Error(`${schema}.${name} has no primary key`);
  return { key: table.key, columns: table.columns.map((column) => column.name) };
}

/** The tables that are published in a schema, and where their rows are. Others may have tables of their own there. */
export async function partitionsOf(
  client: ClientBase,
  schema: string,
): Promise<{ table: string; partition: string }[]> {
  const { rows } = await client.query<{ table: string; partition: string }>(
    `select p.relname as table, inhrelid::regclass::text as partition
     from pg_inherits join pg_class p on p.oid = inhparent join pg_class c on c.oid = inhrelid
     where p.relkind = 'p' and p.relnamespace = to_regnamespace($1)
       and c.relnamespace::regnamespace::text = any($2) order by 1`,
    [schema, homesOf(schema)],
  );
  return rows;
}

/**
 * The statements that put the tables of a home schema in the place of what is published in `schema`, whose columns become
 * theirs. To be run in one transaction, with locks on what is published. Nothing is copied, nothing is scanned. They fail
 * where something outside, such as a view, uses a column or a table that is no longer there.
 */
export async function publication(client: ClientBase, schema: string, home: string): Promise<string[]> {
  const partitions = await partitionsOf(client, schema);
  const ours = partitions.map(({ table }) => table);
  const published = (await tablesOf(client, schema, 'p')).filter(({ name }) => ours.includes(name));
  const tables = await tablesOf(client, home, 'r');
  const { rows: references } = await client.query<{ table: string; name: string }>(
    `select relname as table, conname as name from pg_constraint join pg_class c on c.oid = conrelid
     where contype = 'f' and conparentid = 0 and relnamespace = to_regnamespace($1) and relname = any($2)`,
    [schema, ours],
  );
  return [
    ...references.map(({ table, name }) => `alter table ${schema}.${table} drop constraint ${name}`),
    ...partitions.map(
      ({ table, partition }) => `alter table ${schema}.${table} detach partition ${partition}`,
    ),
    ...tables.flatMap(({ name, columns, key }) => {
      if (!key) throw new Error(`${home}.${name} has no primary key`);
      const table = `${schema}.${name}`;
      const before = published.find((one) => one.name === name);
      return [
        ...(before
          ? [
              ...adaptation(table, before.columns, columns),
              ...(before.key?.join() === key.join()
                ? []
                : [
                    `alter table ${table} drop constraint ${before.constraint}, add primary key (${key.join()})`,
                  ]),
            ]
          : [
              `create table ${table} (like ${home}.${name} including defaults) partition by list (${key[0]})`,
              `alter table ${table} add primary key (${key.join()})`,
            ]),
        `alter table ${table} attach partition ${home}.${name} default`,
      ];
    }),
    ...published
      .filter(({ name }) => !tables.some((table) => table.name === name))
      .map(({ name }) => `drop table ${schema}.${name}`),
  ];
}

/** What makes the columns of a table without rows those of another. */
function adaptation(table: string, from: readonly Column[], to: readonly Column[]): string[] {
  const dropped = from.filter(({ name }) => !to.some((column) => column.name === name));
  return [
    ...dropped.map(({ name }) => `alter table ${table} drop column ${name}`),
    ...to.flatMap(({ name, type, required, fallback }) => {
      const before = from.find((column) => column.name === name);
      const column = `alter table ${table} alter column ${name}`;
      const statements: string[] = [];
      if (!before) statements.push(`alter table ${table} add column ${name} ${type}`);
      else if (before.type !== type) statements.push(`${column} type ${type} using null`);
      if ((before?.fallback ?? null) !== fallback)
        statements.push(`${column} ${fallback === null ? 'drop default' : `set default ${fallback}`}`);
      if ((before?.required ?? false) !== required)
        statements.push(`${column} ${required ? 'set' : 'drop'} not null`);
      return statements;
    }),
  ];
}

/** The rows of large tables are read. */
const LONG_MS = 3_600_000;

/**
 * Declares the foreign keys of what is published, where they aren't: an exchange of partitions takes them away, since it
 * would have to read the tables to prove them. Readers don't wait for this, only the projector does.
 * @returns false where somebody held a table for too long, so that it is to be tried again.
 */
export async function declareReferences(pool: Pool, { projection, schema }: Target): Promise<boolean> {
  try {
    return await transaction(pool, async (client) => {
      const { rows: locks } = await client.query<{ locked: boolean }>(
        `select pg_try_advisory_xact_lock(hashtextextended('colophon tables ' || $1, 0)) as locked`,
        [schema],
      );
      if (!locks[0]?.locked) return false;
      const current = await readCheckpoint(client, schema, projection);
      const { rows } = await client.query(
        `select from pg_constraint join pg_class c on c.oid = conrelid
         where contype = 'f' and relnamespace = $1::regnamespace and relname = any($2) and conparentid = 0`,
        [schema, ownTables(projection)],
      );
      if (rows.length > 0 || current?.version !== projection.version) return true;
      await client.query(`set local lock_timeout = '${PATIENCE}'`);
      await client.query(`set local enable_hashjoin = on; set local enable_mergejoin = on`);
      await client.query(`set local search_path to ${schema}, public`);
      const declaration = { text: projection.references(), query_timeout: LONG_MS };
      await client.query(declaration as QueryConfig);
      return true;
    });
  } catch (error) {
    if (isLockTimeout(error)) return false;
    throw error;
  }
}

/** Somebody held a lock for longer than was to be waited. */
export const isLockTimeout = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === '55P03' || error.code === '40P01');
