import { lagOf } from '../event-store/lag.js';
import type { Position } from '../event-store/event-store.js';
import { chosen } from './projections.js';
import { withResources } from './running.js';

/** Prints how far each projection is, or the named one, and the head of the log. */
export async function printStatus(name: string | undefined): Promise<void> {
  await withResources(async ({ store, tokens, projector, changesProjector }) => {
    const all = [projector, changesProjector].map((one) => ({ name: one.projection.name, projector: one }));
    for (const one of chosen(all, name)) {
      const { position, error } = await one.projector.status();
      const head = await store.head();
      const { positions, seconds } = await lagOf(store, position, head);
      const show = (at: Position | undefined) => (at === undefined ? '-' : tokens.format(at));
      const behind = positions === 0 || seconds === undefined ? '' : `, ${seconds.toFixed(1)} s behind`;
      process.stdout.write(
        `${one.name}: position ${show(position)} of ${show(head)}${behind}${error ? `, ${error}` : ''}\n`,
      );
    }
  });
}
