import { Client } from 'pg';
import { OperatorError } from '../errors.js';
import { hidePassword } from '../secrets.js';
import { connectionOptions, setNewerSettings } from './connection-options.js';
import { APPLICATION_NAME } from './database.js';
import { reasonOf } from './refusal.js';

const OLDEST_SERVER = 150_000;
/** In a database with another encoding, names of some languages can't be written, or are cut inside a letter. */
const ENCODING = 'UTF8';

/**
 * Checks that the server can be reached and is new enough.
 * @throws OperatorError if the server can't be used.
 */
export async function checkServer(connectionString: string): Promise<void> {
  const client = await connectChecked(connectionString);
  await client.end().catch(() => undefined);
}

/**
 * A connection to a server that passed the check.
 * @throws OperatorError like {@link checkServer}.
 */
export async function connectChecked(connectionString: string): Promise<Client> {
  let client: Client;
  try {
    client = new Client(
      connectionOptions(connectionString, {
        connectionTimeoutMillis: 5_000,
        application_name: APPLICATION_NAME,
      }),
    );
    client.on('error', () => undefined);
    await client.connect();
  } catch (error) {
    throw new OperatorError(
      `can't connect to PostgreSQL at ${hidePassword(connectionString)}: ${reasonOf(error)}`,
    );
  }
  await setNewerSettings(client);
  const { rows } = await client.query<{ version: string; encoding: string }>(
    `select current_setting('server_version_num') as version, current_setting('server_encoding') as encoding`,
  );
  const { version, encoding } = rows[0] ?? {};
  if (Number(version) >= OLDEST_SERVER && encoding === ENCODING) return client;
  await client.end();
  throw new OperatorError(
    encoding === ENCODING
      ? `PostgreSQL 15 or newer is required; the server has version ${version}`
      : `a database with the encoding UTF8 is required; this database has ${encoding}`,
  );
}
