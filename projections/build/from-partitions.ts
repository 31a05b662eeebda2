import type { ClientBase, QueryConfig } from 'pg';
import { OperatorError } from '../../src/errors.js';
import { dropSchema, markOf, markSchema, schemaFor } from './schemas.js';

// Early versions had partitioned tables, `catalogue.authors`, with one partition each, `catalogue_a.authors` or
// `catalogue_b.authors`. The partitions become the tables. What others hung on the partitioned tables moves along.

/** Something of others hangs on partitioned tables, and can't move along. Nothing was changed. */
export class InTheWay extends OperatorError {
  constructor(what: string) {
    super(`the partitioned tables of an early version can't become plain tables: ${what}`);
  }
}

const LOCK_TIMEOUT = '3s';
/** The check of foreign keys reads all rows of large tables. */
const LONG_MS = 3_600_000;

interface Partitioned {
  readonly oid: number;
  readonly name: string;
  /** The partition, with its schema. */
  readonly partition: string;
}

/**
 * Turns partitioned tables into plain ones, with their views, grants, comments, columns, indexes and constraints.
 * @param client in a transaction.
 * @throws InTheWay that names what can't move along.
 */
export async function fromPartitions(client: ClientBase, schema: string): Promise<void> {
  const homes = [`${schema}_a`, `${schema}_b`];
  const old = schemaFor('old', schema);
  // With this search path, PostgreSQL writes every name with its schema.
  await client.query(`set local search_path to pg_catalog; set local lock_timeout = '${LOCK_TIMEOUT}'`);
  const { rows: tables } = await client.query<Partitioned>(
    `select p.oid::integer, p.relname as name, c.oid::regclass::text as partition
     from pg_inherits join pg_class p on p.oid = inhparent join pg_class c on c.oid = inhrelid
     where p.relkind = 'p' and p.relnamespace = $1::regnamespace and c.relnamespace::regnamespace::text = any($2)
     order by p.relname <> 'checkpoint', p.relname`,
    [schema, homes],
  );
  // In the order of the projector's batches: first the checkpoint.
  for (const { name } of tables) await client.query(`lock table ${schema}.${name} in access exclusive mode`);
  const ids = tables.map(({ oid }) => oid);
  await refuseObstacles(client, ids);
  const views = await viewsOn(client, ids);
  const belongings = await belongingsOf(client, ids);
  const references = await referencesBetween(client, ids);
  const indexes = await indexesOf(client, ids);

  await client.query(`create schema ${old}; ${markSchema(old, 'partitioned tables')}`);
  for (const { table, name } of references)
    await client.query(`alter table ${table} drop constraint ${name}`);
  for (const { name, partition } of tables)
    await client.query(
      `alter table ${schema}.${name} detach partition ${partition};
       alter table ${schema}.${name} set schema ${old};
       alter table ${partition} set schema ${schema}`,
    );
  for (const statement of belongings) await client.query(statement);
  for (const { table, definition } of references)
    await client.query({
      text: `alter table ${table} add ${definition}`,
      query_timeout: LONG_MS,
    } as QueryConfig);
  for (const { name, statement } of views)
    await client.query(statement).catch((error: Error) => {
      throw new InTheWay(`the view ${name} can't be made again: ${error.message}`);
    });
  await client
    .query(`drop table ${tables.map(({ name }) => `${old}.${name}`).join()}; drop schema ${old}`)
    .catch((error: Error & { detail?: string }) => {
      throw new InTheWay(error.detail ?? error.message);
    });
  for (const { child, name } of indexes)
    await client.query(`alter index ${schema}.${child} rename to ${name}`);
  for (const home of homes) if (await markOf(client, home)) await dropSchema(client, home);
  await client.query(
    `alter table ${schema}.checkpoint add column if not exists made jsonb,
       add column if not exists build uuid not null default gen_random_uuid()`,
  );
  await client.query('set local search_path to public; set local lock_timeout = 0');
}

/** @throws InTheWay that names everything that can't move along. */
async function refuseObstacles(client: ClientBase, ids: readonly number[]): Promise<void> {
  const { rows } = await client.query<{ what: string }>(
    `with ours as (select unnest($1::oid[]) as oid union select inhrelid from pg_inherits where inhparent = any($1::oid[])),
     found (class, id) as (
       select 'pg_rewrite'::regclass, r.oid from pg_depend d join pg_rewrite r on r.oid = d.objid join pg_class v on v.oid = r.ev_class
         where d.classid = 'pg_rewrite'::regclass and d.refobjid = any($1::oid[])
           and (v.relkind <> 'v' or not pg_has_role(current_user, v.relowner, 'usage'))
       union select 'pg_constraint'::regclass, k.oid from pg_constraint k
         where k.contype = 'f' and k.confrelid = any($1::oid[]) and k.conrelid not in (select oid from ours) and k.conparentid = 0
       union select 'pg_trigger'::regclass, t.oid from pg_trigger t where t.tgrelid = any($1::oid[]) and not t.tgisinternal
       union select 'pg_policy'::regclass, p.oid from pg_policy p where p.polrelid = any($1::oid[])
       union select 'pg_publication_rel'::regclass, p.oid from pg_publication_rel p where p.prrelid = any($1::oid[])
       union select 'pg_statistic_ext'::regclass, s.oid from pg_statistic_ext s where s.stxrelid = any($1::oid[])
       union select 'pg_proc'::regclass, d.objid from pg_depend d
         where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = any($1::oid[]))
     select pg_describe_object(class, id, 0) as what from found order by 1`,
    [ids],
  );
  if (rows.length === 0) return;
  const what = rows.map((row) => row.what).join('; ');
  throw new InTheWay(`drop this first, and create it again afterwards: ${what}`);
}

/** The views on the tables, each with the statement that makes the view look at whatever has the tables' names then. */
async function viewsOn(
  client: ClientBase,
  ids: readonly number[],
): Promise<{ name: string; statement: string }[]> {
  const { rows } = await client.query<{ name: string; statement: string }>(
    `select v.oid::regclass::text as name,
       'create or replace view ' || v.oid::regclass || coalesce(' with (' || array_to_string(v.reloptions, ', ') || ')', '') ||
         ' as ' || pg_get_viewdef(v.oid) as statement
     from pg_class v where v.relkind = 'v' and v.oid in (
       select r.ev_class from pg_depend d join pg_rewrite r on r.oid = d.objid
       where d.classid = 'pg_rewrite'::regclass and d.refobjid = any($1::oid[]))`,
    [ids],
  );
  return rows;
}

/** The statements that give tables of the same names the comments and grants. */
async function belongingsOf(client: ClientBase, ids: readonly number[]): Promise<string[]> {
  const { rows } = await client.query<{ statement: string }>(
    `select format('comment on %s %s is %L', case when objsubid = 0 then 'table' else 'column' end,
              t.oid::regclass || coalesce('.' || quote_ident(attname), ''), description) as statement
     from pg_description join pg_class t on t.oid = objoid
     left join pg_attribute on attrelid = objoid and attnum = objsubid and objsubid > 0
     where classoid = 'pg_class'::regclass and objoid = any($1::oid[])
     union all
     select format('grant %s%s on %s to %s%s', privilege_type, column_name, name,
              case when grantee = 0 then 'public' else grantee::regrole::text end,
              case when is_grantable then ' with grant option' else '' end)
     from (
       select oid::regclass as name, relowner, '' as column_name, (aclexplode(relacl)).*
         from pg_class where oid = any($1::oid[])
       union all
       select c.oid::regclass, relowner, format(' (%I)', attname), (aclexplode(attacl)).*
         from pg_class c join pg_attribute on attrelid = c.oid where c.oid = any($1::oid[])
     ) granted
     where grantee <> relowner`,
    [ids],
  );
  return rows.map(({ statement }) => statement);
}

/** The indexes of others: the partition has each under another name. */
async function indexesOf(
  client: ClientBase,
  ids: readonly number[],
): Promise<{ name: string; child: string }[]> {
  const { rows } = await client.query<{ name: string; child: string }>(
    `select quote_ident(p.relname) as name, quote_ident(c.relname) as child
     from pg_index i join pg_class p on p.oid = i.indexrelid
     join pg_inherits on inhparent = p.oid join pg_class c on c.oid = inhrelid
     where i.indrelid = any($1::oid[]) and p.relname <> c.relname`,
    [ids],
  );
  return rows;
}

/** The foreign keys between the tables. */
async function referencesBetween(
  client: ClientBase,
  ids: readonly number[],
): Promise<{ table: string; name: string; definition: string }[]> {
  const { rows } = await client.query<{ table: string; name: string; definition: string }>(
    `select conrelid::regclass::text as table, quote_ident(conname) as name, pg_get_constraintdef(oid) as definition
     from pg_constraint
     where contype = 'f' and conrelid = any($1::oid[]) and confrelid = any($1::oid[]) and conparentid = 0`,
    [ids],
  );
  return rows;
}
