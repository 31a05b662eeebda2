import type { Client, ClientBase } from 'pg';
import type { Target } from '../checkpoint.js';
import { whileStopped } from './align.js';
import { ApplyRefused } from './refusal.js';
import type { RebuildContext } from './build.js';
import { describeTables, type Column, type Index, type Table, type Tables } from './describe.js';
import { madeOf, placeOf, readMade, writeMade, type Made } from './made.js';
import { schemaFor } from './schemas.js';
import { createAside, inSchema, keys } from './tables.js';

// A new version of a projection may have other columns, indexes and tables. Its columns are added to the live tables
// first, so that processes of the old version go on (widen). Then the rows are filled. Then the columns that only the old
// version had are dropped (trim). What others added to the tables is left alone.

/** The tables that a projection declares, as PostgreSQL understands the declaration. */
async function declaredTables(client: Client, target: Target): Promise<Tables> {
  const model = { ...target, schema: schemaFor('model', target.schema) };
  await client.query('begin');
  try {
    await createAside(client, model, false);
    await inSchema(client, model.schema, `${keys(model).join(';')}; ${target.projection.references()}`);
    return await describeTables(client, model.schema);
  } finally {
    await client.query('rollback');
  }
}

async function liveTables(client: ClientBase, schema: string): Promise<{ live: Tables; made: Made }> {
  return { live: await describeTables(client, schema), made: await readMade(client, schema) };
}

/** Whether an upgrade to the version of the tables still has to be finished by {@link trim}. */
export async function isUnfinished(client: ClientBase, { schema, projection }: Target): Promise<boolean> {
  return (await readMade(client, schema)).version !== projection.version;
}

/** Whether another version added columns, and has not finished. A rebuild of this version then takes them away. */
export async function isWidened(client: ClientBase, { schema }: Target): Promise<boolean> {
  return ((await readMade(client, schema)).coming ?? []).length > 0;
}

const declaration = ({ name, type, fallback }: Column): string =>
  `${name} ${type}${fallback === null ? '' : ` default ${fallback}`}`;

/**
 * Adds the tables and columns of this version to live tables of another version. Checks that what only the other
 * version has can be dropped later.
 * @throws ApplyRefused if something of others needs a column.
 */
export async function widen(holder: Client, context: RebuildContext, lockMs: number): Promise<void> {
  const { schema } = context.target;
  const declared = await declaredTables(holder, context.target);
  await whileStopped(holder, context, lockMs, async () => {
    const { live, made } = await liveTables(holder, schema);
    checkNames(live, declared, made, schema);
    const coming = new Set(made.coming);
    await checkDrops(holder, schema, surplus(live, declared, made, schema), made);
    for (const table of declared.values()) {
      const name = `${schema}.${table.name}`;
      const before = live.get(table.name);
      if (!before) {
        await holder.query(
          `create table ${name} (${table.columns.map(declaration).join()}, primary key (${table.key.join()}))`,
        );
        for (const column of table.columns) coming.add(placeOf(table.name, column.name));
        continue;
      }
      for (const column of table.columns) {
        const found = before.columns.find((one) => one.name === column.name);
        if (!found) {
          await holder.query(`alter table ${name} add column ${declaration(column)}`);
          coming.add(placeOf(table.name, column.name));
        } else if (found.type !== column.type)
          await holder.query(`alter table ${name} alter column ${column.name} type ${column.type}`);
      }
      for (const column of before.columns)
        if (column.required && isSurplus(table, column, made))
          await holder.query(`alter table ${name} alter column ${column.name} drop not null`);
    }
    const columns = new Set([...made.columns, ...madeOf(declared, made.version).columns]);
    await writeMade(holder, schema, { ...made, columns: [...columns], coming: [...coming] });
  });
}

/**
 * Finishes an upgrade after the rows are filled: drops what only another version had, and makes the declared indexes,
 * foreign keys and `not null`. Does nothing twice.
 */
export async function trim(holder: Client, context: RebuildContext, lockMs: number): Promise<void> {
  const { schema, projection } = context.target;
  const declared = await declaredTables(holder, context.target);
  // Indexes first, since queries need them. Those whose names are still taken come after the drops.
  await whileStopped(holder, context, lockMs, () => addIndexes(holder, schema, declared));
  await whileStopped(holder, context, lockMs, async () => {
    const { live, made } = await liveTables(holder, schema);
    const drops = surplus(live, declared, made, schema);
    await checkDrops(holder, schema, drops, made);
    for (const { statement } of drops) await holder.query(statement);
    for (const { name, columns } of declared.values())
      for (const column of columns) {
        const before = live.get(name)?.columns.find((one) => one.name === column.name);
        const alter = `alter table ${schema}.${name} alter column ${column.name}`;
        if (before?.fallback !== column.fallback)
          await holder.query(
            `${alter} ${column.fallback === null ? 'drop default' : `set default ${column.fallback}`}`,
          );
        if (before && before.required !== column.required)
          await holder.query(`${alter} ${column.required ? 'set' : 'drop'} not null`);
      }
  });
  await whileStopped(holder, context, lockMs, async () => {
    await addIndexes(holder, schema, declared);
    await writeMade(holder, schema, madeOf(declared, projection.version));
  });
}

/**
 * Checks that what only another version has can be dropped. PostgreSQL itself refuses to drop what a view needs. Indexes
 * and constraints of others would be dropped along, so this function looks for them.
 * @throws an error that names what is in the way.
 */
async function checkDrops(holder: Client, schema: string, drops: readonly Drop[], made: Made): Promise<void> {
  const { rows } = await holder.query<{ what: string }>(
    `select distinct pg_describe_object(d.classid, d.objid, d.objsubid) as what
     from pg_depend d join pg_class t on t.oid = d.refobjid
     left join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
     left join pg_class i on d.classid = 'pg_class'::regclass and i.oid = d.objid
     left join pg_constraint k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
     where d.refclassid = 'pg_class'::regclass and d.deptype = 'a' and t.relnamespace = $1::regnamespace
       and t.relname || '.' || a.attname = any($2) and d.classid <> 'pg_attrdef'::regclass
       and (i.oid is null or i.relname <> all($3) and not exists (select from pg_index where indexrelid = i.oid and indisprimary))
       and (k.oid is null or k.contype not in ('n', 'p'))`,
    [schema, drops.flatMap(({ column }) => column ?? []), made.indexes],
  );
  if (rows.length > 0)
    throw new ApplyRefused(
      `the tables can't be changed: this version has other columns, which ${rows.map(({ what }) => what).join(', ')} needs`,
    );
  if (drops.length === 0) return;
  const statements = drops.map(({ statement }) => statement);
  await holder.query(`savepoint trial; ${statements.join(';')}; rollback to savepoint trial`);
}

/** Gives empty tables of another version, whose primary key differs, the key of the shadow. Loses their rows. */
export async function rekey(holder: Client, schema: string, tables: readonly Table[]): Promise<void> {
  const live = await describeTables(holder, schema);
  for (const { name, key } of tables) {
    const before = live.get(name);
    if (!before) throw new Error(`${schema}.${name} is no plain table`);
    if (before.key.join() === key.join()) continue;
    const table = `${schema}.${name}`;
    await holder.query(`lock table ${table} in access exclusive mode; delete from ${table}`);
    if (before.constraint) await holder.query(`alter table ${table} drop constraint ${before.constraint}`);
    await holder.query(`alter table ${table} add primary key (${key.join()})`);
  }
}

const isSurplus = (declared: Table, { name }: Column, made: Made): boolean =>
  made.columns.includes(placeOf(declared.name, name)) &&
  !declared.columns.some((column) => column.name === name);

interface Drop {
  readonly statement: string;
  /** The column that the statement drops, as `table.column`; undefined for a table or an index. */
  readonly column?: string;
}

/** How to drop what Colophon made for another version. The statements fail if something of others needs it. */
function surplus(live: Tables, declared: Tables, made: Made, schema: string): Drop[] {
  return [...live.values()].flatMap(({ name, columns, indexes }): Drop[] => {
    const wanted = declared.get(name);
    const table = `${schema}.${name}`;
    if (!wanted)
      return columns.some((column) => made.columns.includes(placeOf(name, column.name)))
        ? [{ statement: `drop table ${table}` }]
        : [];
    return [
      ...columns
        .filter((column) => isSurplus(wanted, column, made))
        .map((column) => ({
          statement: `alter table ${table} drop column ${column.name}`,
          column: placeOf(name, column.name),
        })),
      ...indexes
        .filter(
          (index) => made.indexes.includes(index.name) && !wanted.indexes.some((one) => same(one, index)),
        )
        .map((index) => ({ statement: `drop index if exists ${schema}.${index.name}` })),
    ];
  });
}

const same = (a: Index, b: Index): boolean =>
  a.name === b.name && a.unique === b.unique && a.definition === b.definition;

/** Makes the declared indexes and foreign keys that are missing. Readers don't wait. */
async function addIndexes(holder: Client, schema: string, declared: Tables): Promise<void> {
  const { live, made } = await liveTables(holder, schema);
  await holder.query(`set local maintenance_work_mem = '256MB'`);
  for (const { name, indexes, references } of declared.values()) {
    const table = `${schema}.${name}`;
    const found = live.get(name);
    for (const index of indexes) {
      const sameName = found?.indexes.find((one) => one.name === index.name);
      // If another version made an index of this name, the index is dropped first.
      if (sameName && (same(sameName, index) || made.indexes.includes(index.name))) continue;
      await holder.query(
        `create ${index.unique ? 'unique ' : ''}index ${index.name} on ${table} ${index.definition}`,
      );
    }
    for (const { definition } of references)
      if (!found?.references.some((one) => one.definition === definition))
        await inSchema(holder, schema, `alter table ${table} add ${definition}`);
  }
}

/** @throws ApplyRefused if others have a table, column or index with a name that this version declares. */
function checkNames(live: Tables, declared: Tables, made: Made, schema: string): void {
  // Early versions did not write down what they made.
  if (made.version === 0) return;
  const taken = [...declared.values()].flatMap(({ name, columns, indexes }) => {
    const found = live.get(name);
    if (!found) return [];
    if (!made.columns.some((column) => column.startsWith(placeOf(name, ''))))
      return [`table ${schema}.${name}`];
    return [
      ...columns
        .filter((column) => found.columns.some((one) => one.name === column.name))
        .filter((column) => !made.columns.includes(placeOf(name, column.name)))
        .map((column) => `column ${column.name} of table ${schema}.${name}`),
      ...indexes
        .filter((index) => found.indexes.some((one) => one.name === index.name))
        .filter((index) => !made.indexes.includes(index.name))
        .map((index) => `index ${schema}.${index.name}`),
    ];
  });
  if (taken.length > 0)
    throw new ApplyRefused(`the tables can't be changed: this version has its own ${taken.join(', ')}`);
}
