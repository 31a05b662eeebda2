import { actingAs, contextOf, type ActorOptions } from './actor.js';
import { PhasedProgress } from './progress.js';
import { chosen } from './projections.js';
import { withTables } from './running.js';

export interface VerifyCommandOptions extends ActorOptions {
  readonly repair?: true;
}

/**
 * Prints a line for every row that differs, and for every stream of which another program deleted events. Sets exit
 * code 1 if there was any, repaired or not.
 */
export async function verifyTables(name: string | undefined, options: VerifyCommandOptions): Promise<void> {
  const { repair } = options;
  const acting = actingAs(options);
  await withTables(async ({ maintenance: all, tokens }, signal) => {
    const told = new Set<string>();
    for (const maintenance of chosen(all, name)) {
      const progress = new PhasedProgress();
      const { position, differences, repaired, parked, deletions } = await maintenance.verify({
        repair,
        by: contextOf(acting),
        signal,
        onProgress: (step) => progress.update(step),
        onHeldUp: (holders) => progress.say(`waiting for ${holders}`),
        onDeletion: ({ stream, first }) => {
          if (told.has(stream)) return;
          told.add(stream);
          const deleted = first === undefined ? 'all' : `before revision ${first}`;
          process.stdout.write(`${JSON.stringify({ stream, deleted })}\n`);
        },
        onDifference: ({ table, key, expected, found, event }) => {
          const explained = event ? { type: event.type, position: tokens.format(event.position) } : null;
          process.stdout.write(`${JSON.stringify({ table, key, expected, found, event: explained })}\n`);
        },
      });
      const at = position === undefined ? 'an empty log' : `the log up to ${tokens.format(position)}`;
      const waiting = parked === 0 ? '' : `, except ${parked} parked events: see \`colophon parked list\``;
      const damaged =
        deletions === 0
          ? ''
          : `; ${deletions} stream${deletions === 1 ? '' : 's'} lost events, which another program deleted`;
      progress.end(
        differences === 0
          ? `${maintenance.name}: the tables match ${at}${waiting}${damaged}`
          : `${maintenance.name}: ${differences} rows differ from ${at}; ${repaired} repaired${waiting}${damaged}`,
      );
      if (differences + deletions > 0) process.exitCode = 1;
    }
  });
}
