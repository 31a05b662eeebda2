import type { DecidedEvent } from '../../src/commands/streams.js';

/** given(events).when(decision).then(events), or .refuses(the rule): a decision's test as a sentence. */
export function scenarios<State, Event extends DecidedEvent>(
  initial: State,
  evolve: (state: State, event: Event) => State,
) {
  return (...history: Event[]) => ({
    when: (decide: (state: State) => Event[]) => {
      const state = history.reduce(evolve, initial);
      return {
        then: (...expected: Event[]) => expect(decide(state)).toEqual(expected),
        nothing: () => expect(decide(state)).toEqual([]),
        refuses: (rule: string, pointer?: string, members: object = {}) => {
          let refusal: unknown;
          try {
            decide(state);
          } catch (error) {
            refusal = error;
          }
          expect(refusal).toMatchObject({ rule, members, ...(pointer !== undefined && { pointer }) });
        },
      };
    },
  });
}
