import { NestFactory } from '@nestjs/core';
import { CommandBus } from '@nestjs/cqrs';
import { AppModule } from '../app.module.js';
import { ChangeProgress } from '../changes/change-progress.js';
import { Changes } from '../changes/changes.js';
import { revertChange } from '../changes/change.js';
import { showLeftAlone, toLeftAlone } from '../changes/left-alone.js';
import { RevertPreviews } from '../changes/preview.js';
import { RevertChange } from '../changes/revert-change.js';
import { OperatorError } from '../errors.js';
import type { Position, RecordedEvent } from '../event-store/event-store.js';
import { Problem } from '../http/problem.js';
import { whenAborted } from '../program.js';
import type { Resources } from '../resources.js';
import { actingAs, contextOf, type ActorOptions } from './actor.js';
import { withResources } from './running.js';

export interface RevertOptions extends ActorOptions {
  readonly dryRun?: true;
}

/** Events of the change that one step of a dry run looks at. */
const LOOK = 500;
/** Facts that are printed. */
const MOST_LEFT = 100_000;
const NEVER_MS = 2 ** 31 - 1;

/**
 * Reverts a change, waits for the end, and prints what was left alone, one fact a line. With `--dry-run`, prints what would
 * happen to each author and book. Sets exit code 1 if the revert failed for an author or a book.
 */
export async function revert(change: string, { dryRun, ...options }: RevertOptions): Promise<void> {
  const acting = actingAs(options);
  await withResources(async (resources, signal) => {
    const app = await NestFactory.createApplicationContext(AppModule.of(resources), { logger: false });
    const context = contextOf(acting);
    const { correlationId: id } = context;
    try {
      if (dryRun) {
        revertChange(change, await app.get(Changes).find(change), context);
        return await preview(app.get(RevertPreviews), change, id, resources, signal);
      }
      const { position } = await app.get(CommandBus).execute(new RevertChange(change, context));
      const progress = app.get(ChangeProgress);
      const ended = await Promise.race([progress.ended(id, position, NEVER_MS), whenAborted(signal)]);
      if (ended) await report(id, progress, resources);
    } catch (error) {
      throw error instanceof Problem ? new OperatorError(error.message) : error;
    } finally {
      await app.close();
    }
  });
}

async function preview(
  previews: RevertPreviews,
  change: string,
  by: string,
  { tokens }: Resources,
  signal: AbortSignal,
): Promise<void> {
  for (let after: Position | undefined, more = true; more && !signal.aborted;) {
    const page = await previews.page(change, by, { after, limit: LOOK }, signal);
    for (const { stream, events, left, error } of page.streams) {
      const leftAlone = left.map((one) =>
        toLeftAlone({ ...one, since: one.since as RecordedEvent | undefined }, tokens),
      );
      print({ stream, events, leftAlone, ...(error !== undefined && { error }) });
    }
    after = page.next;
    more = after !== undefined;
  }
}

async function report(id: string, progress: ChangeProgress, resources: Resources): Promise<void> {
  const { store, policyTables, tokens } = resources;
  const { facts, total } = await progress.leftAlone(id, MOST_LEFT);
  for (const line of await showLeftAlone(facts, store, tokens)) print(line);
  const parked = (await policyTables.parked({ change: id })).length;
  process.stderr.write(
    `reverted, as change ${id}; ${total} facts left alone` +
      (parked > 0 ? `; ${parked} authors and books failed: see \`colophon parked list policies\`\n` : '\n'),
  );
  if (parked > 0) process.exitCode = 1;
}

const print = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
