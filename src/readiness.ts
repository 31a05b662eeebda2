import { onAnotherLog, unavailable } from './http/problem.js';
import type { Resources } from './resources.js';

/**
 * Checks that a command and a query would work.
 * @throws Problem 503 with the reason.
 */
export async function checkReady({ store, reads, projector }: Resources): Promise<void> {
  const [obstacle] = await Promise.all([
    store.checkAppends?.(),
    projector.status(),
    reads.query('select from checkpoint limit 1'),
  ]);
  if (obstacle === 'read-only')
    throw unavailable('Commands do not work: the database of the events is read-only.');
  if (obstacle === 'disk-full')
    throw unavailable('Commands do not work: the disk of the database of the events is full.');
  if (projector.onAnotherLog) throw onAnotherLog();
  if (!projector.readable) throw unavailable('The tables are being rebuilt for this version.');
  if (projector.standsStill)
    throw (
      projector.refusal ?? unavailable('The tables do not follow the log: GET /projections shows the error.')
    );
}
