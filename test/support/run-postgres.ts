import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { VERSIONS, withPostgres } from './postgres-server.js';

// `npm run test:postgres`: the suites that use a database, on each version of PostgreSQL. `-- 15 17` chooses versions, a
// folder with `bin` another server. `--quick` runs the suites that meet every statement. Other arguments go to Jest
// instead.
const QUICK = [
  'test/commands/',
  'test/event-store/postgres-event-store',
  'test/postgres/',
  'test/projections/',
  'test/e2e/imports',
];
/** All that use a database of the run's server. Those that only start the embedded server would tell nothing new. */
const ALL = [
  '--findRelatedTests',
  'test/support/database.ts',
  '--testPathIgnorePatterns',
  'test/eventstoredb/',
  'test/docs.e2e-spec.ts',
];

const given = process.argv.slice(2);
const isServer = (argument: string) => VERSIONS.includes(argument) || argument.startsWith('/');
const servers = given.filter(isServer);
const rest = given.filter((argument) => !isServer(argument) && argument !== '--quick');
const selection = given.includes('--quick') ? QUICK : ALL;

// Ctrl-C reaches Jest too, which then ends.
process.on('SIGINT', () => undefined);
for (const server of servers.length > 0 ? servers : VERSIONS) {
  console.log(`\nPostgreSQL ${server}`);
  const code = await withPostgres(server, async (url) => {
    const jest = spawn(
      process.execPath,
      [
        '--experimental-vm-modules',
        '--disable-warning=ExperimentalWarning',
        'node_modules/jest/bin/jest.js',
        ...(rest.length > 0 ? rest : selection),
      ],
      { stdio: 'inherit', env: { ...process.env, TEST_SERVER_URL: url } },
    );
    const [status] = (await once(jest, 'exit')) as [number | null];
    return status ?? 1;
  });
  if (code !== 0) process.exitCode = code;
}
