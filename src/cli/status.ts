import type { Position } from '../event-store/event-store.js';
import { withResources } from './running.js';

/** Prints the position of each projection, and the head of the log. */
export async function printStatus(): Promise<void> {
  await withResources(async ({ store, tokens, projector }) => {
    const head = await store.head();
    const { name, position, error } = await projector.status();
    const show = (at: Position | undefined) => (at === undefined ? '-' : tokens.format(at));
    process.stdout.write(
      `${name}: position ${show(position)} of ${show(head)}${error ? `, ${error}` : ''}\n`,
    );
  });
}
