import { createReadStream, statSync, type Stats } from 'node:fs';
import { addAbortSignal } from 'node:stream';
import { NestFactory } from '@nestjs/core';
import { AppModule } from '../app.module.js';
import { OperatorError } from '../errors.js';
import type { Position } from '../event-store/event-store.js';
import { newId } from '../ids.js';
import { Importer } from '../imports/importer.js';
import { whenAborted } from '../program.js';
import { actingAs, type ActorOptions } from './actor.js';
import { ImportReport, lineOf } from './import-report.js';
import { ResultFile } from './result-file.js';
import { withResources } from './running.js';

/** Longest wait for the tables after an import. A persistent error of the projection is reported sooner. */
const CATCH_UP_MS = 600_000;

export interface ImportOptions extends ActorOptions {
  /** The file for a result of every line; true for standard output. */
  readonly results?: true | string;
  readonly dryRun?: true;
}

/** @param file NDJSON, also compressed by gzip, or `-` for standard input. */
export async function importFile(file: string, options: ImportOptions): Promise<void> {
  const { results, dryRun = false } = options;
  const acting = actingAs(options);
  const size = file === '-' ? undefined : statOf(file).size;
  const path = results === true || results === '-' ? undefined : results;
  const everyResult = path === undefined && (results !== undefined || dryRun);
  const resultFile = path === undefined ? undefined : await ResultFile.create(path, file);
  await withResources(async (resources, signal) => {
    const report = new ImportReport(size, everyResult);
    const app = await NestFactory.createApplicationContext(AppModule.of(resources), { logger: false });
    const input = addAbortSignal(signal, file === '-' ? process.stdin : createReadStream(file));
    const context = { ...acting, correlationId: newId() };
    let last: Position | undefined;
    const importer = app.get(Importer, { strict: false });
    for await (const result of importer.run(report.measure(input), context, dryRun)) {
      report.take(result);
      if (resultFile) await resultFile.write(lineOf(result));
      if (result.position !== undefined && (last === undefined || result.position > last))
        last = result.position;
    }
    const caughtUp = last === undefined || resources.projector.reached(last, CATCH_UP_MS);
    const visible = await Promise.race([caughtUp, whenAborted(signal)]);
    if (visible === undefined) return;
    report.end(
      dryRun ? 'a dry run, so nothing was written' : visible ? 'the tables show all of them' : BEHIND,
    );
    await app.close();
    if (report.failed > 0 || !visible) process.exitCode = 1;
  }).finally(() => resultFile?.close());
}

const BEHIND = 'the tables are still behind';

function statOf(file: string): Stats {
  try {
    return statSync(file);
  } catch (error) {
    throw new OperatorError((error as Error).message);
  }
}
