import { bringBack, type Author } from '../authors/author.js';
import { authorStream, type AuthorEvent } from '../authors/author.events.js';
import { understoodAuthor } from '../changes/understood.js';
import type { EventStore, RecordedEvent } from '../event-store/event-store.js';
import type { Effects } from './effects.js';
import type { Patience } from './patience.js';

/** The events after which an author is there, or is not. */
const EXISTENCE: readonly string[] = [
  'AuthorAdded',
  'AuthorRemoved',
  'AuthorRestored',
  'AuthorMerged',
] satisfies AuthorEvent['type'][];

/** An author, and the event after which the author is there, or is not. */
export interface StandingAuthor {
  readonly state: Author;
  readonly by: RecordedEvent | undefined;
}

/** Follows merges from author to author. */
export class Survivors {
  constructor(
    private readonly store: EventStore,
    private readonly patience: Patience,
    private readonly effects: Effects,
  ) {}

  async author(id: string): Promise<StandingAuthor> {
    const history = await this.patience.until(() => this.store.readStream(authorStream(id)));
    return standingIn(history);
  }

  /**
   * The last survivor of a merged author; the author itself if it is not merged. Two processes may merge authors into each
   * other at the same time: then the merge that closed the circle is taken back first.
   */
  async of(id: string): Promise<string> {
    for (;;) {
      const merges = new Map<string, RecordedEvent>();
      let last = id;
      while (!merges.has(last)) {
        const { state, by } = await this.author(last);
        if (state.status === 'unknown' || state.mergedInto === undefined || !by) return last;
        merges.set(last, by);
        last = state.mergedInto;
      }
      const circle = [...merges.values()].slice([...merges.keys()].indexOf(last));
      const [first, ...rest] = circle;
      if (first) await this.takeBack(rest.reduce((a, b) => (a.position > b.position ? a : b), first));
    }
  }

  /** In the name of whoever merged. The same process or another may do so at the same time: the events are the same. */
  private async takeBack(merge: RecordedEvent): Promise<void> {
    await this.effects.on({ event: merge }, merge.stream, (history): AuthorEvent[] => {
      const { state, by } = standingIn(history);
      return by?.id === merge.id ? bringBack(state) : [];
    });
  }
}

function standingIn(history: readonly RecordedEvent[]): StandingAuthor {
  const { state } = understoodAuthor(history);
  return { state, by: history.findLast(({ type }) => EXISTENCE.includes(type)) };
}
