import 'reflect-metadata';
import { createReadStream, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { NestFactory } from '@nestjs/core';
import { Command, InvalidArgumentError, Option } from 'commander';
import { openBackbone, type Backbone } from './app.module.js';
import { replay } from './audit/replay.js';
import { loadConfig, StartupError } from './config.js';
import { formatPosition, parsePosition, type Position } from './event-store/event-store.js';
import { ImportReport } from './imports/import-report.js';
import { Importer } from './imports/importer.js';
import { newId } from './ids.js';

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
  .addOption(new Option('--after <position>', 'only events after it').argParser(position))
  .option('--types <names>', 'only events of these types, separated by commas', (names) => names.split(','))
  .option('--stream <name>', 'only events of this stream')
  .action((options: { after?: Position; types?: string[]; stream?: string }) =>
    withBackbone(async ({ store }) => {
      await pipeline(replay(store, options), process.stdout, { end: false }).catch(
        (error: NodeJS.ErrnoException) => {
          // The reader of the pipe has seen enough.
          if (error.code !== 'EPIPE') throw error;
        },
      );
    }),
  );

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
  // Ctrl-C ends the process only after the embedded server has been let go.
  const leave = () => void backbone.close().finally(() => process.exit(130));
  process.once('SIGINT', leave).once('SIGTERM', leave);
  try {
    await work(backbone);
  } finally {
    await backbone.close();
  }
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    throw new StartupError((error as Error).message);
  }
}

function position(token: string): Position {
  const parsed = parsePosition(token);
  if (parsed === undefined) throw new InvalidArgumentError('not a position');
  return parsed;
}

try {
  await program.parseAsync();
} catch (error) {
  const message = error instanceof StartupError ? error.message : ((error as Error).stack ?? String(error));
  process.stderr.write(`colophon: ${message}\n`);
  process.exitCode = 1;
}
