import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { VERSIONS, withPostgres } from './postgres-server.js';

// `npm run test:postgres`: the suites that use a database, on each version of PostgreSQL. `-- 15 17` chooses versions; a
// folder with `bin` is another server. `--quick` chooses suites for the gate. Other arguments go to Jest.

/** All that use a database of the run's server. The page's tests use the embedded server, and would tell nothing new. */
const ALL = [
  '--findRelatedTests',
  'test/support/database.ts',
  '--testPathIgnorePatterns',
  'test/eventstoredb/',
  'test/docs.e2e-spec.ts',
];
/**
 * Meets nearly every statement, in less than a fifth of the time. `catalogue.spec` stops a projection between any two
 * statements, and `order` tries random histories: both take long, and depend least on the server.
 */
const QUICK = [
  'test/commands/',
  'test/event-store/postgres-event-store',
  'test/postgres/',
  ...['changes', 'queries', 'rebuild', 'search', 'unreadable', 'upgrade'].map(
    (name) => `test/projections/${name}`,
  ),
  'test/e2e/imports',
];

const given = process.argv.slice(2);
const isServer = (argument: string) => VERSIONS.includes(argument) || existsSync(join(argument, 'bin'));
const servers = given.filter(isServer);
const rest = given.filter((argument) => !isServer(argument) && argument !== '--quick');
const suites = rest.length > 0 ? rest : given.includes('--quick') ? QUICK : ALL;

let jest: ChildProcess | undefined;
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    stopped = true;
    jest?.kill(signal);
  });

for (const server of servers.length > 0 ? servers : VERSIONS) {
  if (stopped) break;
  console.log(`\nPostgreSQL ${server}`);
  const code = await withPostgres(server, async (url) => {
    if (stopped) return 1;
    jest = spawn(
      process.execPath,
      [
        '--experimental-vm-modules',
        '--disable-warning=ExperimentalWarning',
        'node_modules/jest/bin/jest.js',
        ...suites,
      ],
      { stdio: 'inherit', env: { ...process.env, TEST_SERVER_URL: url } },
    );
    const [status] = (await once(jest, 'exit')) as [number | null];
    return status ?? 1;
  });
  if (code !== 0) process.exitCode = code;
}
