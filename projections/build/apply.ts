import type { Client } from 'pg';
import type { Checkpoint } from '../checkpoint.js';
import type { Table } from './describe.js';
import { align } from './align.js';
import { comparedColumns, differ, differingRows, sameKey, tablesIn } from './differences.js';
import { indexOf } from './finish-tables.js';
import type { RebuildContext } from './build.js';
import { refusal } from './refusal.js';
import { rekey } from './reshape.js';
import type { Shadow } from './shadow.js';
import { inSchema, keys, ownTables } from './tables.js';

/** Memory of the server for a comparison and for the indexes. */
const MEMORY = `set local work_mem = '64MB'; set local maintenance_work_mem = '256MB'`;

/**
 * Takes a picture of the live tables, at the position of the shadow. The projector waits for a moment only.
 * @param reader a connection, which is left in a transaction that sees the picture.
 * @returns the checkpoint of the live tables.
 */
export async function snapshot(
  holder: Client,
  reader: Client,
  shadow: Shadow,
  context: RebuildContext,
  lockMs: number,
): Promise<Checkpoint | undefined> {
  try {
    const live = await align(holder, shadow, context, lockMs);
    await reader.query(`begin isolation level repeatable read; ${MEMORY}; select 1`);
    return live;
  } finally {
    await holder.query('rollback').catch(() => undefined);
  }
}

/** Whether the live tables are what the shadow is, their checkpoint included. The projector goes on meanwhile. */
export async function areRight(
  holder: Client,
  reader: Client,
  shadow: Shadow,
  context: RebuildContext,
  lockMs: number,
): Promise<boolean> {
  const { schema, projection } = context.target;
  const live = await snapshot(holder, reader, shadow, context, lockMs);
  try {
    const { version, log, position, parked, eventId } = shadow.checkpoint;
    if (live?.version !== version || live.log !== log) return false;
    if (eventId !== undefined && live.eventId !== eventId) return false;
    if (live.position !== position || live.parked !== parked) return false;
    const tables = [...projection.tables, 'parked'];
    return !(await differ(reader, tables, shadow.target.schema, schema));
  } finally {
    await reader.query('rollback').catch(() => undefined);
  }
}

/**
 * Writes the rows that differ from the shadow into the live tables, and moves the checkpoint, in one transaction. Tables
 * that are right are not written. What others hang on the tables stays. Readers see the old rows until the commit.
 *
 * The transaction stops the projector, then locks every table in order. Other sessions can read, but can't lock rows. So
 * no row lock stops the work halfway.
 *
 * @param told is called with the number of rows written, and of rows to write.
 * @param check is called with the live checkpoint, and the tables that differ, before anything is written.
 * @returns the number of rows that differed.
 * @throws ApplyRefused if something of others is in the way.
 */
export async function apply(
  holder: Client,
  shadow: Shadow,
  context: RebuildContext,
  lockMs: number,
  told: (done: number, total: number) => void,
  check: (live: Checkpoint | undefined, differing: readonly string[]) => void = () => undefined,
): Promise<number> {
  const { schema, projection } = context.target;
  const names = [...projection.tables, 'parked'];
  try {
    const live = await align(holder, shadow, context, lockMs);
    await holder.query(MEMORY);
    const tables = await tablesIn(holder, shadow.target.schema, names);
    const empty = await areEmpty(holder, schema, names);
    const list = names.map((name) => `${schema}.${name}`).join();
    await holder.query(`lock table ${list} in ${empty ? 'access exclusive' : 'exclusive'} mode`);
    await rekey(holder, schema, tables);
    let rows: number;
    if (empty && (await areEmpty(holder, schema, names))) {
      check(live, shadow.checkpoint.parked > 0 ? ['parked'] : []);
      rows = await fill(holder, tables, shadow, schema, told);
    } else {
      const checkTables = (differing: readonly string[]) => check(live, differing);
      rows = await update(holder, tables, shadow.target.schema, schema, told, checkTables);
    }
    await moveTo(holder, shadow.checkpoint, schema, projection.name, rows > 0);
    await holder.query('commit');
    return rows;
  } catch (error) {
    await holder.query('rollback').catch(() => undefined);
    throw refusal(error);
  }
}

async function areEmpty(holder: Client, schema: string, names: readonly string[]): Promise<boolean> {
  const filled = names.map((name) => `exists (select from ${schema}.${name})`);
  const { rows } = await holder.query<{ filled: boolean }>(`select ${filled.join(' or ')} as filled`);
  return rows[0]?.filled === false;
}

/** Deletes surplus rows first, from the tables that refer to others. Inserts rows of those tables last. */
async function update(
  holder: Client,
  tables: readonly Table[],
  aside: string,
  live: string,
  told: (done: number, total: number) => void,
  check: (differing: readonly string[]) => void,
): Promise<number> {
  const differing: { table: Table; list: string; count: number }[] = [];
  for (const table of tables) {
    const list = `${aside}.differing_${table.name}`;
    const key = table.key.map((column) => `coalesce(e.${column}, f.${column}) as ${column}`);
    const isThere = (alias: string) => `${alias}.${table.key[0]} is not null`;
    await holder.query(`drop table if exists ${list}`);
    const { rowCount } = await holder.query(
      `create unlogged table ${list} as
       select ${key.join()}, ${isThere('e')} as expected, ${isThere('f')} as found ${differingRows(table, aside, live)}`,
    );
    if (rowCount) differing.push({ table, list, count: rowCount });
  }
  check(differing.map(({ table }) => table.name));
  const total = differing.reduce((sum, { count }) => sum + count, 0);
  let done = 0;
  const run = async (statement: string) => {
    done += (await holder.query(statement)).rowCount ?? 0;
    told(done, total);
  };
  for (const { table, list } of differing.toReversed())
    await run(
      `delete from ${live}.${table.name} f using ${list} d where ${sameKey(table, 'f', 'd')} and not d.expected`,
    );
  for (const { table, list } of differing) {
    const columns = comparedColumns(table);
    const changed = columns.filter((column) => !table.key.includes(column));
    const expected = `${aside}.${table.name} e join ${list} d on ${sameKey(table, 'e', 'd')}`;
    if (changed.length > 0)
      await run(
        `update ${live}.${table.name} f set ${changed.map((column) => `${column} = e.${column}`).join()}
         from ${expected} where ${sameKey(table, 'f', 'd')} and d.expected and d.found`,
      );
    await run(
      `insert into ${live}.${table.name} (${columns.join()})
       select ${columns.map((column) => `e.${column}`).join()} from ${expected} where not d.found`,
    );
  }
  return total;
}

/**
 * Fills empty tables. Our own indexes and foreign keys are made anew, after the rows: three times as fast. Readers wait,
 * since there is nothing to read yet.
 */
async function fill(
  holder: Client,
  tables: readonly Table[],
  shadow: Shadow,
  live: string,
  told: (done: number, total: number) => void,
): Promise<number> {
  const { projection, schema: aside } = shadow.target;
  const { rows: references } = await holder.query<{ table: string; name: string }>(
    `select conrelid::regclass::text as table, quote_ident(conname) as name from pg_constraint k join pg_class r on r.oid = confrelid
     where contype = 'f' and connamespace = $1::regnamespace and r.relnamespace = $1::regnamespace and r.relname = any($2)`,
    [live, ownTables(projection)],
  );
  for (const { table, name } of references)
    await holder.query(`alter table ${table} drop constraint ${name}`);
  const indexes = keys(shadow.target).filter((statement) => /^create index/.test(statement));
  for (const statement of indexes) await holder.query(`drop index if exists ${live}.${indexOf(statement)}`);
  const { rows: counts } = await holder.query<{ total: string }>(
    `select ${tables.map(({ name }) => `(select count(*) from ${aside}.${name})`).join(' + ')} as total`,
  );
  const total = Number(counts[0]?.total);
  let done = 0;
  for (const table of tables) {
    const columns = comparedColumns(table).join();
    const { rowCount } = await holder.query(
      `insert into ${live}.${table.name} (${columns}) select ${columns} from ${aside}.${table.name}`,
    );
    done += rowCount ?? 0;
    told(done, total);
    await holder.query(`analyze ${live}.${table.name}`);
  }
  await inSchema(holder, live, `${indexes.join(';')}; ${projection.references()}`);
  return total;
}

/** Moves the live checkpoint to that of the shadow, and writes nothing if it is there already and no row was written. */
async function moveTo(
  holder: Client,
  to: Checkpoint,
  schema: string,
  projection: string,
  written: boolean,
): Promise<void> {
  await holder.query(
    `update ${schema}.checkpoint
     set version = $2, log_id = $3, position = $4, event_id = $5, parked = $6, build = $7, updated_at = now()
     where projection = $1 and ($8 or (version, log_id, position, parked, event_id)
       is distinct from ($2, $3::uuid, $4::bigint, $6, coalesce($5::uuid, event_id)))`,
    [
      projection,
      to.version,
      to.log,
      to.position?.toString() ?? null,
      to.eventId ?? null,
      to.parked,
      to.build,
      written,
    ],
  );
}
