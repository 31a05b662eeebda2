import type { ClientBase } from 'pg';
import { tablesOf, type Column } from './describe-table.js';
import { homesOf } from './homes.js';

/** The live tables of a schema, each with its partition. Ignores tables that others may have in the schema. */
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
 * The statements that swap the tables of a home schema into the live tables of `schema`, and adapt the live tables'
 * columns. Run the statements in one transaction, with locks on the live tables. Nothing is copied, nothing is scanned.
 * The statements fail if something outside, such as a view, uses a column or table that the new tables lack.
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
    // The partitioned tables hold no rows, and PostgreSQL refuses them if the default tablespace is the database's own.
    `set local default_tablespace = ''`,
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

/** The statements that change the columns `from` of an empty table into the columns `to`. */
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
