import 'reflect-metadata';
import { userInfo } from 'node:os';
import { Command } from 'commander';
import type { ImportOptions } from './cli/import.js';
import type { RebuildCommandOptions } from './cli/rebuild.js';
import type { ReplayOptions } from './cli/replay.js';
import type { TransferOptions } from './cli/transfer.js';
import { OperatorError } from './errors.js';

// What a command works with is loaded when it runs: help is there in a tenth of the time.
const program = new Command('colophon')
  .description(
    'The event-sourced system of record for authors and books. Configured as the service is, by the environment.',
  )
  .showHelpAfterError();

program
  .command('import')
  .argument('<file>', 'NDJSON, or - for standard input')
  .description(
    'bring the catalogue to what the lines say; a second run changes nothing, a broken one resumes',
  )
  .option('--actor <name>', 'who imports', userInfo().username)
  .option('--reason <text>', 'why')
  .option('--results', 'print a result for every line, not only for those that failed')
  .action(async (file: string, options: ImportOptions) =>
    (await import('./cli/import.js')).importFile(file, options),
  );

program
  .command('replay')
  .description('print the log in order, an event a line')
  .option('--after <position>', 'only events after it')
  .option('--types <names>', 'only events of these types, separated by commas', (names) => names.split(','))
  .option('--stream <name>', 'only events of this stream')
  .action(async (options: ReplayOptions) => (await import('./cli/replay.js')).printLog(options));

program
  .command('rebuild')
  .description(
    'build the read tables from the log and exchange them for the old ones, while everything goes on',
  )
  .option('--allow-parked', 'go on if events can’t be applied, and park them')
  .option(
    '--as-of <moment>',
    'a time or a position: build the tables as they stood then, in a schema of their own',
  )
  .option('--schema <name>', 'the schema, for --as-of')
  .option('--replace', 'build that schema again if it is there already')
  .action(async (options: RebuildCommandOptions) =>
    (await import('./cli/rebuild.js')).rebuildTables(options),
  );

program
  .command('verify')
  .description('replay the log and compare every row of the read tables with it, while everything goes on')
  .option('--repair', 'repair the rows that differ')
  .action(async (options: { repair?: true }) => (await import('./cli/verify.js')).verifyTables(options));

const parked = program
  .command('parked')
  .description('events that could not be applied, and those behind them');
parked
  .command('list')
  .description('print them in order, one a line')
  .action(async () => (await import('./cli/parked.js')).listParked());
parked
  .command('show')
  .argument('<stream>', 'such as author-<id>')
  .description('print all of a stream’s parked events, as the log has them')
  .action(async (stream: string) => (await import('./cli/parked.js')).showParked(stream));
parked
  .command('retry')
  .argument('<stream>', 'such as author-<id>')
  .description('apply a stream’s parked events again, in order')
  .action(async (stream: string) => (await import('./cli/parked.js')).retryParked(stream, false));
parked
  .command('skip')
  .argument('<stream>', 'such as author-<id>')
  .description(
    'leave the first of a stream’s parked events out of the tables, and go on with those behind it',
  )
  .action(async (stream: string) => (await import('./cli/parked.js')).retryParked(stream, true));

program
  .command('transfer')
  .description('copy a log into another store, in order; run again, it goes on from the last copied event')
  .requiredOption('--from <url>', '`embedded`, postgres://… or esdb://…')
  .requiredOption('--to <url>', 'likewise; empty, or the beginning of the same log')
  .action(async (options: TransferOptions) => (await import('./cli/transfer.js')).transferLog(options));

program
  .command('status')
  .description('print how far the tables are')
  .action(async () => (await import('./cli/status.js')).printStatus());

program
  .command('migrate')
  .description('create or update the schemas, and end')
  .action(async () => (await import('./cli/migrate.js')).migrateSchemas());

try {
  await program.parseAsync();
} catch (error) {
  const message = error instanceof OperatorError ? error.message : ((error as Error).stack ?? String(error));
  process.stderr.write(`colophon: ${message}\n`);
  process.exitCode = 1;
}
