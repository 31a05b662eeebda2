import 'reflect-metadata';
import { createReadStream, statSync } from 'node:fs';
import { constants, setPriority, userInfo } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { NestFactory } from '@nestjs/core';
import { Command } from 'commander';
import {
  differencesOfTables,
  openBackbone,
  openDatabase,
  openStore,
  openTables,
  OperatorError,
  type Backbone,
  type RebuildProgress,
  type Tables,
} from './app.module.js';
import { replay } from './audit/replay.js';
import { loadConfig, StartupError } from './config.js';
import { formatPosition, parsePosition, type EventStore, type Position } from './event-store/event-store.js';
import { compareLogs, NotACopy, transfer } from './event-store/transfer.js';
import { AS_OF_RULE, parseAsOf, type AsOf } from './http/as-of.js';
import { toAuditEvent } from './http/audit-event.js';
import { ImportReport } from './imports/import-report.js';
import { Importer } from './imports/importer.js';
import { newId } from './ids.js';
import { PhasedProgress, Progress } from './progress.js';

/** Longest wait for the tables after an import; a standing error of the projection is told sooner. */
const CATCH_UP_MS = 600_000;

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
  .action(async (file: string, options: { actor: string; reason?: string; results?: true }) => {
    const size = file === '-' ? undefined : sizeOf(file);
    await withBackbone(async (backbone) => {
      const report = new ImportReport(size, options.results === true);
      const app = await NestFactory.createApplicationContext(backbone.module, { logger: false });
      const input = file === '-' ? process.stdin : createReadStream(file);
      const { actor, reason } = options;
      const context = { actor, correlationId: newId(), ...(reason !== undefined && { reason }) };
      let last: Position | undefined;
      for await (const result of app.get(Importer).run(report.measure(input), context)) {
        report.take(result);
        if (result.position !== undefined && (last === undefined || result.position > last))
          last = result.position;
      }
      const visible = last === undefined || (await backbone.projector.reached(last, CATCH_UP_MS));
      report.end(visible);
      await app.close();
      if (report.failed > 0 || !visible) process.exitCode = 1;
    });
  });

program
  .command('replay')
  .description('print the log in order, an event a line')
  .option('--after <position>', 'only events after it')
  .option('--types <names>', 'only events of these types, separated by commas', (names) => names.split(','))
  .option('--stream <name>', 'only events of this stream')
  .action(({ after: token, ...which }: { after?: string; types?: string[]; stream?: string }) =>
    withBackbone(async ({ store }) => {
      const after = token === undefined ? undefined : parsePosition(token);
      if (token !== undefined && after === undefined)
        throw new StartupError(`--after ${token} is not a position of this log`);
      await pipeline(replay(store, { after, ...which }), process.stdout, { end: false }).catch(
        (error: NodeJS.ErrnoException) => {
          // The reader of the pipe has seen enough.
          if (error.code !== 'EPIPE') throw error;
        },
      );
    }),
  );

program
  .command('rebuild')
  .description('build the read tables anew from the log and exchange them, while everything goes on')
  .option('--allow-parked', 'go on where events can’t be applied, and park them')
  .option(
    '--as-of <moment>',
    'a time or a position: build the tables as they stood then, in a schema of their own',
  )
  .option('--schema <name>', 'the schema, for --as-of')
  .option('--replace', 'build that schema anew where it is there already')
  .action((options: { allowParked?: true; asOf?: string; schema?: string; replace?: true }) =>
    withTables(async ({ operator }, signal) => {
      const { allowParked, asOf, schema, replace = false } = options;
      if ((asOf === undefined) !== (schema === undefined))
        throw new StartupError('--as-of and --schema go together');
      const progress = new PhasedProgress();
      const settings = {
        allowParked,
        signal,
        onProgress: (step: RebuildProgress) => progress.update(step),
        onHeldUp: (holders: string) => progress.say(`the exchange waits for ${holders}`),
      };
      const { events, parked, position } =
        asOf === undefined || schema === undefined
          ? await operator.rebuild(settings)
          : await operator.buildAsOf(momentOf(asOf), schemaName(schema), replace, settings);
      const up = position === undefined ? 'an empty log' : `up to ${formatPosition(position)}`;
      progress.end(
        `${schema ?? 'the tables'}: ${events} events, ${up}, in ${progress.seconds} s` +
          (parked > 0 ? `; ${parked} parked, see \`colophon parked list\`` : ''),
      );
    }),
  );

program
  .command('verify')
  .description('replay the log and compare every row of the read tables with it, while everything goes on')
  .option('--repair', 'mend the rows that differ')
  .action(({ repair }: { repair?: true }) =>
    withTables(async ({ operator }, signal) => {
      const progress = new PhasedProgress();
      const { position, differences, repaired } = await operator.verify({
        repair,
        signal,
        onProgress: (step) => progress.update(step),
        onDifference: ({ table, key, expected, found, event }) => {
          const explained = event ? { type: event.type, position: formatPosition(event.position) } : null;
          process.stdout.write(`${JSON.stringify({ table, key, expected, found, event: explained })}\n`);
        },
      });
      const at = position === undefined ? 'an empty log' : `the log up to ${formatPosition(position)}`;
      progress.end(
        differences === 0
          ? `the tables are what ${at} says`
          : `${differences} rows differ from what ${at} says; ${repaired} mended`,
      );
      if (differences > 0) process.exitCode = 1;
    }),
  );

const parked = program
  .command('parked')
  .description('events that could not be applied, and those behind them');
parked
  .command('list')
  .description('print them in order, one a line')
  .action(() =>
    withTables(async ({ operator }) => {
      for (const row of await operator.parked()) {
        const { position, stream, revision, type, error, parked_at } = row;
        const at = formatPosition(BigInt(position));
        const why = error ?? 'waits behind it';
        process.stdout.write(`${at}  ${stream}  ${revision}  ${type}  ${parked_at.toISOString()}  ${why}\n`);
      }
    }),
  );
parked
  .command('show')
  .argument('<stream>', 'such as author-<id>')
  .description('print all of a stream’s parked events, as the log has them')
  .action((stream: string) =>
    withTables(async ({ operator, store }) => {
      const rows = await operator.parked(stream);
      if (rows.length === 0) throw new StartupError(`nothing of ${stream} is parked`);
      const errors = new Map(rows.map(({ event_id, error }) => [event_id, error]));
      for (const event of await store.readStream(stream)) {
        const error = errors.get(event.id);
        if (error === undefined) continue;
        process.stdout.write(`${JSON.stringify({ ...toAuditEvent(event), error }, null, 2)}\n`);
      }
    }),
  );
for (const [name, description] of [
  ['retry', 'apply a stream’s parked events again, in order'],
  ['skip', 'leave the first of a stream’s parked events out of the tables, and go on with those behind it'],
] as const)
  parked
    .command(name)
    .argument('<stream>', 'such as author-<id>')
    .description(description)
    .action((stream: string) =>
      withTables(async ({ operator }) => {
        const left = await operator.retry(stream, name === 'skip');
        const [first] = left;
        process.stderr.write(
          first
            ? `${left.length} still parked: ${first.error}\n`
            : `nothing of ${stream} is parked any more\n`,
        );
        if (first) process.exitCode = 1;
      }),
    );

program
  .command('transfer')
  .description('copy a log into another store, in order; run again, it goes on where it broke off')
  .requiredOption('--from <url>', '`embedded`, postgres://… or esdb://…')
  .requiredOption('--to <url>', 'likewise; empty, or the beginning of the same log')
  .action(async ({ from, to }: { from: string; to: string }) => {
    const config = loadConfig();
    const database = await openDatabase(config);
    const stores: EventStore[] = [];
    const open = async (url: string) => {
      const store = await openStore(url === 'embedded' ? database.url : url, config.eventStoreDbPrefix);
      stores.push(store);
      return store;
    };
    const close = async () => {
      for (const store of stores) await store.close();
      await database.close();
    };
    await closing(close, async () => {
      const [source, target] = [await open(from), await open(to)];
      if ((await source.logId()) === (await target.logId()))
        throw new StartupError('--from and --to are the same log');
      const head = await source.head();
      const progress = new Progress(Number(head ?? 0n), 'events');
      let copied = 0;
      for await (const { events, position } of transfer(source, target)) {
        progress.update(Number(position), events);
        copied = events;
      }
      const seconds = progress.end(Number(head ?? 0n), copied);
      process.stderr.write(`${copied} events copied in ${seconds} s; comparing\n`);
      const events = await compareLogs(source, target);
      const differing = await differencesOfTables([source, target], database.url);
      if (differing.length > 0) throw new StartupError(`the tables differ: ${differing.join(', ')}`);
      process.stderr.write(`both logs hold the same ${events} events, and give the same tables\n`);
    });
  });

program
  .command('status')
  .description('print how far the tables are')
  .action(() =>
    withBackbone(async ({ store, projector }) => {
      const head = await store.head();
      const { name, position, error } = await projector.status();
      const show = (token: Position | undefined) => (token === undefined ? '-' : formatPosition(token));
      process.stdout.write(
        `${name}: position ${show(position)} of ${show(head)}${error ? `, ${error}` : ''}\n`,
      );
    }),
  );

program
  .command('migrate')
  .description('create or update the schemas, and end')
  .action(() => withBackbone(async () => undefined));

async function withBackbone(work: (backbone: Backbone) => Promise<void>): Promise<void> {
  const backbone = await openBackbone(loadConfig());
  await closing(backbone.close, () => work(backbone));
}

/** Work with the tables, without projecting into them. The signal says that it is to stop. */
async function withTables(work: (tables: Tables, signal: AbortSignal) => Promise<void>): Promise<void> {
  // A service on the same machine goes first.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const tables = await openTables(loadConfig());
  const stop = new AbortController();
  await closing(
    () => {
      stop.abort();
      return tables.close();
    },
    () => work(tables, stop.signal),
  );
}

function momentOf(text: string): AsOf {
  const moment = parseAsOf(text);
  if (!moment) throw new StartupError(`--as-of ${AS_OF_RULE}`);
  return moment;
}

function schemaName(name: string): string {
  if (!/^[a-z_][a-z0-9_]{0,58}$/.test(name))
    throw new StartupError('--schema must be a plain lower-case name');
  return name;
}

/** Ctrl-C ends the process only after the embedded server has been let go. */
async function closing(close: () => Promise<unknown>, work: () => Promise<void>): Promise<void> {
  const leave = () => void close().finally(() => process.exit(130));
  process.once('SIGINT', leave).once('SIGTERM', leave);
  try {
    await work();
  } finally {
    await close();
  }
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    throw new StartupError((error as Error).message);
  }
}

try {
  await program.parseAsync();
} catch (error) {
  const message =
    error instanceof StartupError || error instanceof NotACopy || error instanceof OperatorError
      ? error.message
      : ((error as Error).stack ?? String(error));
  process.stderr.write(`colophon: ${message}\n`);
  process.exitCode = 1;
}
