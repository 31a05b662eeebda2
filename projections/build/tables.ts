import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientBase, Pool } from 'pg';
import { transaction } from '../../src/postgres/database.js';
import { beginCheckpoint, readCheckpoint, TablesOfAnotherLog, type Target } from '../checkpoint.js';
import type { Projection } from '../projection.js';
import { homesOf } from './homes.js';
import { publication } from './publication.js';
import { admitReaders } from './readers.js';
import { dropSchema, markSchema, SchemaTaken } from './schemas.js';

const sql = (file: string) => readFileSync(join(import.meta.dirname, file), 'utf8');

/** Creates a schema with bare tables: no keys, no indexes, no rows. */
export async function createTables(client: ClientBase, { projection, schema }: Target): Promise<void> {
  await client.query('create extension if not exists pg_trgm with schema public');
  await client.query(`create schema ${schema}; ${markSchema(schema, `tables of ${projection.name}`)}`);
  await inSchema(client, schema, `${projection.columns()}; ${sql('tables.sql')}`);
}

/** The statements that add primary keys and indexes to the tables of {@link createTables}. */
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
 * Creates the tables if they are missing.
 * @param anyLog accepts tables of another log, and leaves such tables unchanged.
 * @throws TablesOfAnotherLog if the tables are of another log, unless `anyLog`.
 * @throws SchemaTaken if the schema's name is a word of SQL: statements name the schema without quotes.
 */
export async function ensureTables(pool: Pool, target: Target, anyLog = false): Promise<void> {
  const { projection, schema, log } = target;
  await transaction(pool, async (client) => {
    await client.query(`select pg_advisory_xact_lock(hashtextextended('colophon tables ' || $1, 0))`, [
      schema,
    ]);
    await client.query('set local client_min_messages = warning');
    const [name] = (await client.query<{ quoted: string }>('select quote_ident($1) as quoted', [schema]))
      .rows;
    if (name?.quoted !== schema) throw new SchemaTaken(`the schema ${schema} has a word of SQL as its name`);
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
    await admitReaders(client, target);
  });
}

/** Turns the tables of an early version of Colophon, which had no partitions, into partitions. */
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
