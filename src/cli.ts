import 'reflect-metadata';
import { createReadStream, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { NestFactory } from '@nestjs/core';
import { Command } from 'commander';
import { differencesOfTables, openBackbone, openDatabase, openStore, type Backbone } from './app.module.js';
import { replay } from './audit/replay.js';
import { loadConfig, StartupError } from './config.js';
import { formatPosition, parsePosition, type EventStore, type Position } from './event-store/event-store.js';
import { compareLogs, NotACopy, transfer } from './event-store/transfer.js';
import { ImportReport } from './imports/import-report.js';
import { Importer } from './imports/importer.js';
import { newId } from './ids.js';
import { Progress } from './progress.js';

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
  .description('drop the read tables and fill them again from the log; queries see them half empty meanwhile')
  .action(() =>
    withBackbone(async ({ store, projector }) => {
      const head = await store.head();
      if (head === undefined) return;
      const progress = new Progress(Number(head));
      for (;;) {
        const done = await projector.reached(head, 200);
        const { position = 0n, error } = await projector.status();
        if (error !== undefined) throw new StartupError(error);
        progress.update(Number(position), 0);
        if (done) break;
      }
      const seconds = progress.end(Number(head), 0);
      process.stderr.write(
        `the tables are made from the log up to ${formatPosition(head)}, in ${seconds} s\n`,
      );
    }, true),
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

async function withBackbone(work: (backbone: Backbone) => Promise<void>, afresh = false): Promise<void> {
  const backbone = await openBackbone(loadConfig(), afresh);
  await closing(backbone.close, () => work(backbone));
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
    error instanceof StartupError || error instanceof NotACopy
      ? error.message
      : ((error as Error).stack ?? String(error));
  process.stderr.write(`colophon: ${message}\n`);
  process.exitCode = 1;
}
