import { lagOf } from '../event-store/lag.js';
import type { Position } from '../event-store/event-store.js';
import { POLICIES } from './parked-policies.js';
import { chosen } from './projections.js';
import { withResources } from './running.js';

/** Prints how far each projection and policies are, or the named one, and the head of the log. */
export async function printStatus(name: string | undefined): Promise<void> {
  await withResources(async ({ store, tokens, projector, changesProjector, policies, policyTables }) => {
    const projections = [projector, changesProjector].map((one) => ({
      name: one.projection.name,
      status: () => one.status(),
      work: async () => '',
    }));
    const work = async () => {
      const { open, parked } = await policyTables.counts();
      return `, ${open} open, ${parked} parked`;
    };
    const all = [...projections, { name: POLICIES, status: () => policies.status(), work }];
    for (const one of chosen(all, name)) {
      const { position, error } = await one.status();
      const head = await store.head();
      const { positions, seconds } = await lagOf(store, position, head);
      const show = (at: Position | undefined) => (at === undefined ? '-' : tokens.format(at));
      const behind = positions === 0 || seconds === undefined ? '' : `, ${seconds.toFixed(1)} s behind`;
      process.stdout.write(
        `${one.name}: position ${show(position)} of ${show(head)}${behind}${await one.work()}${error ? `, ${error}` : ''}\n`,
      );
    }
  });
}
