import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientBase, Pool } from 'pg';
import { transaction } from '../../src/postgres/database.js';
import { isLockTimeout, sqlState } from '../../src/postgres/errors.js';
import { beginCheckpoint, readCheckpoint, TablesOfAnotherLog, type Target } from '../checkpoint.js';
import type { Projection } from '../projection.js';
import { describeTables } from './describe.js';
import { fromPartitions, InTheWay } from './from-partitions.js';
import { holdersOf } from './holders.js';
import { madeOf, writeMade } from './made.js';
import { admitReaders } from './readers.js';
import { markSchema, SchemaTaken } from './schemas.js';

const sql = (file: string) => readFileSync(join(import.meta.dirname, file), 'utf8');

/** All tables of a projection's schema. */
export const ownTables = ({ tables }: Projection): string[] => [...tables, 'checkpoint', 'parked'];

/** Creates bare tables in a schema: no keys, no indexes, no rows. */
async function createTables(client: ClientBase, { projection, schema }: Target): Promise<void> {
  // Services with tables of their own may start at once, and `if not exists` does not keep them from colliding.
  await client.query(`select pg_advisory_xact_lock(hashtextextended('colophon extension', 0))`);
  await client.query('create extension if not exists pg_trgm with schema public');
  await inSchema(client, schema, `${projection.columns()}; ${sql('tables.sql')}`);
}

/**
 * Creates a schema with bare tables for the engine's own work.
 * @param unlogged tables are written twice as fast, and are empty after a crash of the server.
 */
export async function createAside(client: ClientBase, target: Target, unlogged: boolean): Promise<void> {
  const { projection, schema } = target;
  await client.query(`create schema ${schema}; ${markSchema(schema, `tables of ${projection.name}`)}`);
  await createTables(client, target);
  if (unlogged)
    for (const table of ownTables(projection))
      await client.query(`alter table ${schema}.${table} set unlogged`);
}

/** The statements that add primary keys and indexes to bare tables. */
export const keys = ({ projection }: Target): string[] =>
  `${projection.keys()}; ${sql('keys.sql')}`
    .replace(/--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');

/** Runs statements with unqualified names. The search path stays the schema until the transaction ends. */
export async function inSchema(client: ClientBase, schema: string, statements: string): Promise<void> {
  await client.query(`set local search_path to ${schema}, public; ${statements}`);
}

/**
 * Creates the tables if they are missing. Turns the partitioned tables of an early version into plain ones.
 * @param anyLog accepts tables of another log, and leaves such tables unchanged.
 * @throws TablesOfAnotherLog if the tables are of another log, unless `anyLog`.
 * @throws SchemaTaken if the schema's name is a word of SQL: statements name the schema without quotes; or if the schema
 *         holds other tables with the names of ours.
 * @throws InTheWay if something of others hangs on partitioned tables and can't move along.
 */
export async function ensureTables(pool: Pool, target: Target, anyLog = false): Promise<void> {
  const { projection, schema, log } = target;
  const ensured = transaction(pool, async (client) => {
    await client.query(`select pg_advisory_xact_lock(hashtextextended('colophon tables ' || $1, 0))`, [
      schema,
    ]);
    await client.query('set local client_min_messages = warning');
    const { rows } = await client.query<{ quoted: string; kind: string | null; heldUpBy: boolean | null }>(
      `select quote_ident($1) as quoted, (select relkind from pg_class where oid = to_regclass($2)) as kind,
         (select bool_or(attname = 'held_up_by') from pg_attribute where attrelid = to_regclass($3)) as "heldUpBy"`,
      [schema, `${schema}.checkpoint`, `${schema}.rebuilds`],
    );
    const { quoted, kind, heldUpBy } = rows[0] ?? {};
    if (quoted !== schema) throw new SchemaTaken(`the schema ${schema} has a word of SQL as its name`);
    if (kind === null) await createLive(client, target);
    else {
      if (kind === 'p') await fromPartitions(client, schema);
      const current = await readCheckpoint(client, schema, projection);
      if (current && current.log !== log && !anyLog) throw new TablesOfAnotherLog(schema);
      // Somebody deleted the row. The tables may hold anything, so they are of no version.
      if (!current) await beginCheckpoint(client, { ...target, projection: { ...projection, version: 0 } });
    }
    if (heldUpBy === null)
      await client.query(
        `create table ${schema}.rebuilds (
           id uuid primary key, started_at timestamptz not null default now(), started_by text not null,
           phase text not null, done bigint not null, total bigint not null,
           updated_at timestamptz not null default now(), ended_at timestamptz, error text, held_up_by text)`,
      );
    if (heldUpBy === false) await client.query(`alter table ${schema}.rebuilds add column held_up_by text`);
    await admitReaders(client, target);
  });
  await ensured.catch(async (error: unknown) => {
    throw isLockTimeout(error) ? new InTheWay(await holdersOf(pool, schema)) : error;
  });
}

async function createLive(client: ClientBase, target: Target): Promise<void> {
  const { projection, schema } = target;
  await client.query(`create schema if not exists ${schema}`);
  await createTables(client, target).catch((error: unknown) => {
    throw sqlState(error) === '42P07'
      ? new SchemaTaken(`the schema ${schema} already holds another table: ${(error as Error).message}`)
      : error;
  });
  await inSchema(client, schema, `${keys(target).join(';')}; ${projection.references()}`);
  await beginCheckpoint(client, target);
  const ours = [...(await describeTables(client, schema))].filter(([name]) =>
    ownTables(projection).includes(name),
  );
  await writeMade(client, schema, madeOf(new Map(ours), projection.version));
}
