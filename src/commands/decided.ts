import type { Redirect } from '../redirect.js';

/** The events to write, and, if the command named merged authors, who takes their places. */
export type Decided<Event> =
  readonly Event[] | { readonly events: readonly Event[]; readonly redirected: readonly Redirect[] };

export type Decide<State, Event> = (state: State) => Decided<Event> | Promise<Decided<Event>>;

/** The events of a decision, and the redirects if there are any. */
export interface Parts<Event> {
  readonly events: readonly Event[];
  readonly redirected?: readonly Redirect[];
}

export function partsOf<Event>(decided: Decided<Event>): Parts<Event> {
  const { events, redirected } = 'events' in decided ? decided : { events: decided, redirected: [] };
  return { events, ...(redirected.length > 0 && { redirected }) };
}
