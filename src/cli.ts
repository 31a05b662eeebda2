import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { ActorOptions } from './cli/actor.js';
import type { ImportOptions } from './cli/import.js';
import type { RebuildCommandOptions } from './cli/rebuild.js';
import type { ReplayOptions } from './cli/replay.js';
import type { RevertOptions } from './cli/revert.js';
import type { TokenOptions } from './cli/token.js';
import type { TransferOptions } from './cli/transfer.js';
import type { VerifyCommandOptions } from './cli/verify.js';
import { stop } from './cli/stop.js';
import { DomainError } from './domain-error.js';
import { OperatorError } from './errors.js';
import { Interrupted } from './program.js';

const { version } = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8'),
) as { version: string };

// Each command loads its modules only when the command runs, so help takes a tenth of the time.
const program = new Command('colophon')
  .description(
    'The event-sourced system of record for authors and books. Reads the same environment variables as the service.',
  )
  .version(version)
  .showHelpAfterError();

const PROJECTION = ['[projection]', 'catalogue or changes; both if none is named'] as const;
const FOLLOWER = ['[projection]', 'catalogue, changes or policies; all if none is named'] as const;

program
  .command('import')
  .argument('[file]', 'NDJSON, also compressed by gzip, or - for standard input')
  .description(
    'add or change authors and books as the lines say; a second run changes nothing or resumes a failed import',
  )
  .option('--actor <name>', 'who imports', userInfo().username)
  .option('--reason <text>', 'why')
  .option('--results [file]', 'write a result for every line to a file, or print the results of all lines')
  .option('--dry-run', 'print what each line would do, and write nothing')
  .action(async (file: string | undefined, options: ImportOptions, command: Command) => {
    // The one file of `import --results FILE` is the file to import.
    const { results } = options;
    const only = file === undefined && typeof results === 'string' ? results : undefined;
    const input = file ?? only ?? command.error("error: missing required argument 'file'");
    await (await import('./cli/import.js')).importFile(input, only ? { ...options, results: true } : options);
  });

program
  .command('replay')
  .description('print the log in order, one event a line')
  .option('--after <position>', 'only events after this position')
  .option('--types <names>', 'only events of these types, separated by commas', (names) => names.split(','))
  .option('--stream <name>', 'only events of this stream')
  .action(async (options: ReplayOptions) => (await import('./cli/replay.js')).printLog(options));

program
  .command('rebuild')
  .argument(...PROJECTION)
  .description(
    'build the tables again from the log, and write the rows that differ; the service keeps running meanwhile',
  )
  .option('--allow-parked', 'park events that can’t be applied, and go on')
  .option(
    '--as-of <moment>',
    'a time or a position: build the tables as of this moment, in a separate schema',
  )
  .option('--schema <name>', 'the schema for --as-of')
  .option('--replace', 'replace the schema if an earlier --as-of built it')
  .option('--actor <name>', 'who rebuilds, for the log', userInfo().username)
  .option('--reason <text>', 'why')
  .action(async (name: string | undefined, options: RebuildCommandOptions) =>
    (await import('./cli/rebuild.js')).rebuildTables(name, options),
  );

program
  .command('verify')
  .argument(...PROJECTION)
  .description('replay the log and compare every row of the read tables; the service keeps running meanwhile')
  .option('--repair', 'repair the rows that differ')
  .option('--actor <name>', 'who repairs, for the log', userInfo().username)
  .option('--reason <text>', 'why')
  .action(async (name: string | undefined, options: VerifyCommandOptions) =>
    (await import('./cli/verify.js')).verifyTables(name, options),
  );

const parked = program
  .command('parked')
  .description(
    'events that could not be applied, the events that wait behind them, and what policies failed to do',
  );
parked
  .command('list')
  .argument(...FOLLOWER)
  .description('print parked events in order, one a line')
  .action(async (name?: string) => (await import('./cli/parked.js')).listParked(name));
parked
  .command('show')
  .argument('<stream>', 'such as author-<id>')
  .argument(...PROJECTION)
  .description('print all parked events of a stream in full')
  .action(async (stream: string, name?: string) =>
    (await import('./cli/parked.js')).showParked(stream, name),
  );
parked
  .command('retry')
  .argument('<stream>', 'such as author-<id>')
  .argument(...FOLLOWER)
  .description('apply a stream’s parked events again, in order')
  .option('--actor <name>', 'who retries, for the log', userInfo().username)
  .option('--reason <text>', 'why')
  .action(async (stream: string, name: string | undefined, options: ActorOptions) =>
    (await import('./cli/parked.js')).retryParked(stream, name, options),
  );
parked
  .command('skip')
  .argument('<stream>', 'such as author-<id>')
  .argument(...FOLLOWER)
  .description(
    'let the first parked event of a stream have no effect, as an event in the log, and apply the events behind it',
  )
  .option('--actor <name>', 'who skips', userInfo().username)
  .option('--reason <text>', 'why')
  .action(async (stream: string, name: string | undefined, options: ActorOptions) =>
    (await import('./cli/parked.js')).skipParked(stream, name, options),
  );

program
  .command('revert')
  .argument('<change>', 'id of the change')
  .description('undo a change, as far as nobody has changed its effects since, and print what is left alone')
  .option('--dry-run', 'print what would happen to each author and book, and write nothing')
  .option('--actor <name>', 'who reverts', userInfo().username)
  .option('--reason <text>', 'why')
  .action(async (change: string, options: RevertOptions) =>
    (await import('./cli/revert.js')).revert(change, options),
  );

program
  .command('transfer')
  .description('copy a log into another store, in order; a second run resumes after the last copied event')
  .requiredOption('--from <url>', '`embedded`, postgres://… or esdb://…')
  .requiredOption(
    '--to <url>',
    'the same forms; the store must be empty, or hold the beginning of the same log',
  )
  .option('--actor <name>', 'who transfers, for the log of the copy', userInfo().username)
  .option('--reason <text>', 'why')
  .action(async (options: TransferOptions) => (await import('./cli/transfer.js')).transferLog(options));

const token = program
  .command('token')
  .description('tokens that Colophon signs itself, for callers without an identity provider');
token
  .command('create', { isDefault: true })
  .description('print a new token, which nobody can print again')
  .requiredOption('--subject <name>', 'who will act: the actor of all that the token is used for')
  .requiredOption('--scopes <names>', 'of read, write, audit and operate, separated by commas', (names) =>
    names.split(','),
  )
  .option('--days <number>', 'how long the token is valid', Number, 30)
  .action(async (options: TokenOptions) => (await import('./cli/token.js')).createToken(options));
token
  .command('list')
  .description('print the tokens that have not expired, one a line')
  .action(async () => (await import('./cli/token.js')).listTokens());
token
  .command('revoke')
  .argument('<id>', 'id of the token')
  .description('let a token be valid no longer; every instance knows within seconds')
  .action(async (id: string) => (await import('./cli/token.js')).revokeToken(id));

program
  .command('status')
  .argument(...FOLLOWER)
  .description('print how far the tables and policies have followed the log')
  .action(async (name?: string) => (await import('./cli/status.js')).printStatus(name));

program
  .command('migrate')
  .description('create or update the schemas, then exit')
  .action(async () => (await import('./cli/migrate.js')).migrateSchemas());

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = error instanceof Interrupted ? error.exitCode : 1;
  // An exception that nobody caught has been told already.
  if (error instanceof Interrupted || error !== stop.signal.reason)
    process.stderr.write(`colophon: ${await inWords(error)}\n`);
}
// Work that was given up, such as a read that never ends, must not keep the process.
if (stop.signal.aborted) process.exit();

/** One line if the operator can mend the error, otherwise the stack. */
async function inWords(error: unknown): Promise<string> {
  if ([OperatorError, Interrupted, DomainError].some((one) => error instanceof one))
    return (error as Error).message;
  const { refusalOf } = await import('./postgres/refusal.js');
  const { EventStoreUnavailable, NoSuchPosition, StreamDeleted } =
    await import('./event-store/event-store.js');
  const refusal = refusalOf(error)?.message;
  if (refusal !== undefined) return refusal;
  if (!(error instanceof Error)) return String(error);
  // What stands in the log, or stands there no longer.
  if (error instanceof NoSuchPosition || error instanceof StreamDeleted) return error.message;
  const { inWords: said, stackOf } = await import('./postgres/errors.js');
  if (error instanceof EventStoreUnavailable) return said(error);
  // The system refuses, such as to read a folder as a file.
  if ('syscall' in error) return error.message;
  return stackOf(error);
}
