import type { ClientBase } from 'pg';

export interface Column {
  readonly name: string;
  /** The type, and the collation if it is not the type's own. */
  readonly type: string;
  readonly required: boolean;
  readonly fallback: string | null;
}

export interface Table {
  readonly name: string;
  readonly columns: Column[];
  readonly key: string[] | null;
  /** Name of the primary key constraint. */
  readonly constraint: string | null;
}

/** The tables of a schema: ordinary ones (`r`) or partitioned ones (`p`). */
export const tablesOf = async (client: ClientBase, schema: string, kind: 'r' | 'p'): Promise<Table[]> => {
  const { rows } = await client.query<Table>(
    `select c.relname as name,
       (select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod) ||
                                            case when a.attcollation = t.typcollation then ''
                                            else ' collate ' || a.attcollation::regcollation end,
                                          'required', a.attnotnull,
         'fallback', (select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d where d.adrelid = c.oid and d.adnum = a.attnum))
         order by a.attnum)
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
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

/** The primary key columns of a table, and all columns. */
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
