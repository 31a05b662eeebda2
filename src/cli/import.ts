import { createReadStream, statSync } from 'node:fs';
import { addAbortSignal } from 'node:stream';
import { NestFactory } from '@nestjs/core';
import { AppModule } from '../app.module.js';
import { OperatorError } from '../errors.js';
import type { Position } from '../event-store/event-store.js';
import { newId } from '../ids.js';
import { Importer } from '../imports/importer.js';
import { whenAborted } from '../program.js';
import { ImportReport } from './import-report.js';
import { withResources } from './running.js';

/** Longest wait for the tables after an import. A persistent error of the projection is reported sooner. */
const CATCH_UP_MS = 600_000;

export interface ImportOptions {
  readonly actor: string;
  readonly reason?: string;
  readonly results?: true;
}

/** @param file NDJSON, or `-` for standard input. */
export async function importFile(file: string, { actor, reason, results }: ImportOptions): Promise<void> {
  const size = file === '-' ? undefined : sizeOf(file);
  await withResources(async (resources, signal) => {
    const report = new ImportReport(size, results === true);
    const app = await NestFactory.createApplicationContext(AppModule.of(resources), { logger: false });
    const input = addAbortSignal(signal, file === '-' ? process.stdin : createReadStream(file));
    const context = { actor, correlationId: newId(), ...(reason !== undefined && { reason }) };
    let last: Position | undefined;
    for await (const result of app.get(Importer, { strict: false }).run(report.measure(input), context)) {
      report.take(result);
      if (result.position !== undefined && (last === undefined || result.position > last))
        last = result.position;
    }
    const caughtUp = last === undefined || resources.projector.reached(last, CATCH_UP_MS);
    const visible = await Promise.race([caughtUp, whenAborted(signal)]);
    if (visible === undefined) return;
    report.end(visible);
    await app.close();
    if (report.failed > 0 || !visible) process.exitCode = 1;
  });
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    throw new OperatorError((error as Error).message);
  }
}
