import type { Happened, LeftAlone, Reversal, Undo } from '../../src/changes/reversal.js';

/** What one change did to a stream. */
export interface Act<Event> {
  readonly change: string;
  /** The change that these events undo. */
  readonly reverts?: string;
  /** The event of another stream that a policy reacted to. */
  readonly because?: string;
  readonly events: readonly Event[];
}

export const act = <Event>(change: string, ...events: readonly Event[]): Act<Event> => ({ change, events });

/** What the change that undoes another did. */
export const revertOf = <Event>(
  reverts: string,
  change: string,
  ...events: readonly Event[]
): Act<Event> => ({ change, reverts, events });

/** A stream to which these acts happened, at the positions 0, 1, 2 and so on. */
export function historyOf<Event>(acts: readonly Act<Event>[]): Happened<Event>[] {
  return acts
    .flatMap(({ events, ...act }) => events.map((event) => ({ event, ...act })))
    .map(({ event, change, reverts, because }, index) => ({
      ...event,
      id: `event ${index}`,
      position: BigInt(index),
      metadata: {
        actor: `actor of ${change}`,
        correlationId: change,
        causationId: because ?? `command of ${change}`,
        ...(reverts !== undefined && { reverts }),
      },
    }));
}

type Left = Omit<LeftAlone, 'since'> & { readonly since?: string };

/** past(acts).undoing(change).gives(events), or .leaves(facts and the changes that set them since), or .leaving(facts).gives(events). */
export function pasts<Event>(revert: (history: readonly Happened<Event>[], undo: Undo) => Reversal<Event>) {
  return (...acts: readonly Act<Event>[]) => ({
    undoing: (change: string, asked: Partial<Undo> = {}) => {
      const history = historyOf(acts);
      const undo: Undo = { change, by: 'undoing', before: BigInt(history.length), ...asked };
      const { events, left } = revert(history, undo);
      // What is done is done: the same is asked again after the events that it gave.
      const after = historyOf([...acts, revertOf(change, undo.by, ...events)]);
      expect(revert(after, undo)).toEqual({ events: [], left });
      const found = left.map(({ since, ...one }) => ({
        ...one,
        ...(since && { since: since.metadata.correlationId }),
      }));
      const is = (expected: readonly Event[], leaving: readonly Left[]) =>
        expect({ events, left: found }).toEqual({ events: expected, left: leaving });
      return {
        gives: (...expected: readonly Event[]) => is(expected, []),
        leaves: (...leaving: readonly Left[]) => is([], leaving),
        leaving: (...leaving: readonly Left[]) => ({
          gives: (...expected: readonly Event[]) => is(expected, leaving),
        }),
        nothing: () => is([], []),
      };
    },
  });
}
