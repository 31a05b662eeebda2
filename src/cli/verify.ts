import { PhasedProgress } from './progress.js';
import { withTables } from './running.js';

/** Prints a line for every row that differs. Sets exit code 1 if any row differed, repaired or not. */
export async function verifyTables({ repair }: { repair?: true }): Promise<void> {
  await withTables(async ({ maintenance, tokens }, signal) => {
    const progress = new PhasedProgress();
    const { position, differences, repaired, parked } = await maintenance.verify({
      repair,
      signal,
      onProgress: (step) => progress.update(step),
      onDifference: ({ table, key, expected, found, event }) => {
        const explained = event ? { type: event.type, position: tokens.format(event.position) } : null;
        process.stdout.write(`${JSON.stringify({ table, key, expected, found, event: explained })}\n`);
      },
    });
    const at = position === undefined ? 'an empty log' : `the log up to ${tokens.format(position)}`;
    const waiting = parked === 0 ? '' : `, except ${parked} parked events: see \`colophon parked list\``;
    progress.end(
      differences === 0
        ? `the tables match ${at}${waiting}`
        : `${differences} rows differ from ${at}; ${repaired} repaired${waiting}`,
    );
    if (differences > 0) process.exitCode = 1;
  });
}
