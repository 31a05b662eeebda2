import { setTimeout } from 'node:timers/promises';
import { OperatorError } from '../errors.js';
import type { PositionTokens } from '../event-store/position-token.js';
import type { PolicyTables } from '../policies/policy-tables.js';
import { whenAborted } from '../program.js';
import { withResources } from './running.js';

/** What operators call policies in place of a projection. */
export const POLICIES = 'policies';

export const meansPolicies = (name: string | undefined): boolean => name === undefined || name === POLICIES;

const LOOK_MS = 100;
/** Longest wait for a task that is done again. Any service goes on with the task later. */
const RETRY_MS = 60_000;

/** Prints the streams for which policies failed, one a line. */
export async function listParkedStreams(tables: PolicyTables, tokens: PositionTokens): Promise<void> {
  await tables.ensure();
  for (const { cause, stream, what, parkedAt, error } of await tables.parked()) {
    const words = [POLICIES, tokens.format(cause), stream, '-', what, parkedAt.toISOString(), error];
    process.stdout.write(`${words.join('  ')}\n`);
  }
}

/** Lets policies do again what failed for a stream, and waits. Sets exit code 1 if it fails again. */
export async function retryInPolicies(stream: string): Promise<void> {
  await withResources(async ({ policyTables }, signal) => {
    await policyTables.retry(stream);
    const retried = async () => {
      for (const deadline = performance.now() + RETRY_MS; !signal.aborted; await setTimeout(LOOK_MS)) {
        if (!(await policyTables.isOpen(stream))) return true;
        if (performance.now() >= deadline) return false;
      }
      return undefined;
    };
    const done = await Promise.race([retried(), whenAborted(signal)]);
    if (done === false)
      throw new OperatorError('policies have not come to the stream yet: see GET /policies');
    if (done !== true) return;
    const [left] = await policyTables.parked({ stream });
    process.stderr.write(
      left ? `still parked: ${left.error}\n` : `nothing of ${stream} is parked any more\n`,
    );
    if (left) process.exitCode = 1;
  });
}
