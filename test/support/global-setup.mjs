import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// Jest loads this file itself, without the transform, so it takes the built code; `npm test` builds first.
import { EmbeddedServer } from '../../dist/src/postgres/embedded/embedded-server.js';

/**
 * One real PostgreSQL for the whole run; every test file makes databases of its own on it. With TEST_SERVER_URL, the URL
 * of a superuser, that server is used.
 */
export default async function setup() {
  if (!process.env.EVENTSTOREDB_URL)
    console.log('\nEVENTSTOREDB_URL is not set: the tests on a real EventStoreDB did not run.');
  if (process.env.TEST_SERVER_URL) return;
  const folder = mkdtempSync(join(tmpdir(), 'colophon-test-'));
  // Where root runs the tests, the server runs as another user, who must get in.
  chmodSync(folder, 0o755);
  const server = await EmbeddedServer.start(folder);
  process.env.TEST_SERVER_URL = server.ownerUrl;
  globalThis.testServer = { server, folder };
}
