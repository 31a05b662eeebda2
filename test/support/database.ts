import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { migrate } from '../../src/postgres/migrate.js';

/** A database of the test file's own, on the run's server, with the event store's schema. */
export interface TestDatabase {
  readonly name: string;
  readonly url: string;
  readonly drop: () => Promise<void>;
}

const TEMPLATE = 'colophon_template';

/** The run's server, as its superuser. */
export function serverUrl(database = 'postgres'): string {
  const url = new URL(process.env['TEST_SERVER_URL'] ?? '');
  url.pathname = `/${database}`;
  return url.href;
}

/** Runs statements, in the named database of the run's server, and returns the last one's rows. */
export async function sql<Row extends object>(url: string, ...statements: string[]): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    let rows: Row[] = [];
    for (const statement of statements) ({ rows } = await client.query<Row>(statement));
    return rows;
  } finally {
    await client.end();
  }
}

/** Clones the migrated template, which the first to ask for a database makes. */
export async function createDatabase(): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const client = new Client({ connectionString: serverUrl() });
  await client.connect();
  try {
    // Test files run side by side: one makes the template, and copies are made one at a time, since the source of a
    // copy must have no connections.
    await client.query(`select pg_advisory_lock(hashtext('colophon template'))`);
    const { rows } = await client.query('select from pg_database where datname = $1', [TEMPLATE]);
    if (rows.length === 0) {
      await client.query(`create database ${TEMPLATE}`);
      await migrate(serverUrl(TEMPLATE));
    }
    await client.query(`create database ${name} template ${TEMPLATE}`);
  } finally {
    await client.end();
  }
  return {
    name,
    url: serverUrl(name),
    drop: async () => {
      await sql(serverUrl(), `drop database if exists ${name} with (force)`);
    },
  };
}
