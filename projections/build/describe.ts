import type { ClientBase } from 'pg';

export interface Column {
  readonly name: string;
  /** The type, and the collation if it is not the type's own. */
  readonly type: string;
  readonly required: boolean;
  readonly fallback: string | null;
}

/** An index or a constraint: its name, and its definition without the names of schemas and of the index's table. */
interface Named {
  readonly name: string;
  readonly definition: string;
}

export interface Index extends Named {
  readonly unique: boolean;
}

export interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly key: readonly string[];
  /** Name of the primary key constraint; null if the table has no primary key. */
  readonly constraint: string | null;
  /** All indexes, except that of the primary key. */
  readonly indexes: readonly Index[];
  /** Foreign keys to tables of the same schema. */
  readonly references: readonly Named[];
}

export type Tables = ReadonlyMap<string, Table>;

/** The ordinary tables of a schema, by name. */
export async function describeTables(client: ClientBase, schema: string): Promise<Tables> {
  const { rows } = await client.query<Table>(
    `select c.relname as name,
       coalesce((select json_agg(json_build_object(
           'name', a.attname,
           'type', format_type(a.atttypid, a.atttypmod) ||
                   case when a.attcollation = t.typcollation then '' else ' collate ' || a.attcollation::regcollation end,
           'required', a.attnotnull,
           'fallback', (select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d
                        where d.adrelid = c.oid and d.adnum = a.attnum and a.attgenerated = '')) order by a.attnum)
         from pg_attribute a join pg_type t on t.oid = a.atttypid
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]') as columns,
       coalesce((select json_agg(a.attname order by array_position(i.indkey::smallint[], a.attnum))
         from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
         where i.indrelid = c.oid and i.indisprimary), '[]') as key,
       (select conname from pg_constraint where conrelid = c.oid and contype = 'p') as constraint,
       coalesce((select json_agg(json_build_object('name', n.relname, 'unique', i.indisunique,
           'definition', substring(pg_get_indexdef(n.oid) from ' USING .*')) order by n.relname)
         from pg_index i join pg_class n on n.oid = i.indexrelid
         where i.indrelid = c.oid and not i.indisprimary), '[]') as indexes,
       coalesce((select json_agg(json_build_object('name', k.conname,
           'definition', replace(pg_get_constraintdef(k.oid), $1 || '.', '')) order by k.conname)
         from pg_constraint k join pg_class r on r.oid = k.confrelid
         where k.conrelid = c.oid and k.contype = 'f' and r.relnamespace = c.relnamespace), '[]') as references
     from pg_class c
     where c.relnamespace = to_regnamespace($1) and c.relkind = 'r' order by c.oid`,
    [schema],
  );
  return new Map(rows.map((table) => [table.name, table]));
}
