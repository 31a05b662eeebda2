import type { Happened, Undo } from './reversal.js';

/** An event of a stream, with the stream's state before and after it. */
export interface Step<State> {
  readonly event: Happened<unknown>;
  readonly before: State;
  readonly after: State;
}

/**
 * What undoing a change means for a fact that the change set: it goes back to its value before the step `undo`, or it stays,
 * because the event `since` of somebody else changed it.
 */
export type Verdict<State> =
  | { readonly undo: Step<State>; readonly since?: undefined }
  | { readonly since: Happened<unknown>; readonly undo?: undefined };

interface Version<State> extends Step<State> {
  /** Of an event of a revert that brought back an earlier value: the version that had set it, by its index. */
  readonly same: number | undefined;
}

/** Which events are to be undone, those included that policies added later because of the change. */
export function partOf({ change, before, causes }: Undo): (event: Happened<unknown>) => boolean {
  return ({ position, metadata }) =>
    metadata.correlationId === change &&
    (position < before || (metadata.causationId !== undefined && causes?.has(metadata.causationId) === true));
}

/** Which events the undoing wrote. An earlier undoing of the change may have had the same id. */
export const writtenBy =
  ({ change, before, by }: Undo) =>
  ({ position, metadata }: Happened<unknown>): boolean =>
    position >= before && metadata.correlationId === by && metadata.reverts === change;

/** Whether the undoing has written its events of a stream. It writes them in one append. */
export const isDone = (history: readonly Happened<unknown>[], undo: Undo): boolean =>
  history.findLastIndex(writtenBy(undo)) > history.findLastIndex(partOf(undo));

/**
 * The events that decide about an undoing, and no later ones: those before it was asked for, and its own. What is read
 * from them is the same whenever it is read.
 */
export function known<Event>(history: readonly Happened<Event>[], undo: Undo): Happened<Event>[] {
  const isPart = partOf(undo);
  const isOwn = writtenBy(undo);
  return history.filter((event) => event.position < undo.before || isPart(event) || isOwn(event));
}

/** A stream's events, each with the state before and after it. */
export function stepsOf<State, Event>(
  history: readonly Happened<Event>[],
  initial: State,
  evolve: (state: State, event: Event) => State,
): (Step<State> & { readonly event: Happened<Event> })[] {
  let before = initial;
  return history.map((event) => {
    const step = { event, before, after: evolve(before, event) };
    before = step.after;
    return step;
  });
}

/**
 * How a fact of a stream came about: the versions of its value, in order. The index -1 stands for the value that the fact
 * had before the first of them.
 *
 * A version by a revert that brought an earlier value back is looked through: that value was never changed for good. So
 * a revert can be reverted, and the first change reverted again, any number of times. Somebody who sets an earlier value
 * by a command of their own means it, and is not looked through.
 *
 * An undoing is judged by what happened before it was asked for; whatever came later can only keep it from acting. So the
 * same is decided whenever it is decided.
 */
export class Fact<State> {
  private readonly versions: Version<State>[] = [];

  /** @param alike whether the fact has the same value in two states. */
  constructor(private readonly alike: (one: State, other: State) => boolean) {}

  /** Takes the next event that set the fact. */
  set(step: Step<State>): void {
    this.versions.push({ ...step, same: this.broughtBack(step) });
  }

  /** Like {@link set}, for an event that may have left the fact as it was. */
  setIfOther(step: Step<State>): void {
    if (!this.alike(step.before, step.after)) this.set(step);
  }

  /** What undoing means for the fact; undefined if the change did not set it, or is undone already. */
  judge(undo: Undo): Verdict<State> | undefined {
    if (!this.last(undo)) return undefined;
    const since = this.since(undo);
    if (since) return { since };
    const { first } = this.without(this.end(undo), partOf(undo));
    return first && !this.next(undo) ? { undo: first } : undefined;
  }

  /** Of a fact whose value has been undone already, and stands: the step before which the fact had that value. */
  undone(undo: Undo): Step<State> | undefined {
    const isPart = partOf(undo);
    const top = this.through(this.end(undo), isPart);
    if (this.since(undo) || (this.versions[top] && isPart(this.versions[top].event))) return undefined;
    return this.versions.slice(top + 1).find(({ event }) => isPart(event));
  }

  /** The event of somebody else that set the fact after the change did, and still stands. */
  since(undo: Undo): Happened<unknown> | undefined {
    const isPart = partOf(undo);
    const top = this.through(this.end(undo), isPart);
    const version = this.versions[top];
    if (version && !isPart(version.event))
      return top > this.versions.findLastIndex(({ event }) => isPart(event)) ? version.event : undefined;
    const next = this.next(undo)?.event;
    return next?.metadata.reverts === undo.change ? undefined : next;
  }

  /** The last version that the change set. */
  last(undo: Undo): Step<State> | undefined {
    const isPart = partOf(undo);
    return this.versions.findLast(({ event }) => isPart(event));
  }

  /** The version that stood when the undoing was asked for. */
  then(undo: Undo): Step<State> | undefined {
    return this.versions[this.end(undo)];
  }

  /** The first version after the undoing was asked for. */
  next(undo: Undo): Step<State> | undefined {
    return this.versions[this.end(undo) + 1];
  }

  private end(undo: Undo): number {
    const isPart = partOf(undo);
    return this.versions.findLastIndex(({ event }) => event.position < undo.before || isPart(event));
  }

  /** The version at this index, or the one that reverts of other events brought back with it. */
  private through(index: number, isPart: (event: Happened<unknown>) => boolean): number {
    for (;;) {
      const version = this.versions[index];
      if (version?.same === undefined || isPart(version.event)) return index;
      index = version.same;
    }
  }

  /** Goes back over versions of a change: the first of these, and the version before it. */
  private without(
    index: number,
    isPart: (event: Happened<unknown>) => boolean,
  ): { readonly first: Step<State> | undefined; readonly rest: number } {
    let first: Step<State> | undefined;
    let rest = this.through(index, isPart);
    for (;;) {
      const version = this.versions[rest];
      if (!version || !isPart(version.event)) return { first, rest };
      first = version;
      rest = this.through(rest - 1, isPart);
    }
  }

  private broughtBack({ event, after }: Step<State>): number | undefined {
    const { correlationId, reverts } = event.metadata;
    if (reverts === undefined) return undefined;
    // A revert may set a fact in two steps, such as to unlink an author and to link the author elsewhere.
    const { first, rest } = this.without(
      this.versions.length - 1,
      ({ metadata }) =>
        metadata.correlationId === reverts ||
        (metadata.correlationId === correlationId && metadata.reverts === reverts),
    );
    return first && this.alike(first.before, after) ? rest : undefined;
  }
}

/** Why nothing else of a stream can be undone: the event of somebody else after which its author or book was not there. */
export function removedSince<State extends { readonly status: string }>(
  existence: Fact<State>,
  undo: Undo,
): Happened<unknown> | undefined {
  const then = existence.then(undo);
  const next = existence.next(undo);
  if (next) return next.event.metadata.reverts === undo.change ? undefined : next.event;
  return then && then.after.status !== 'live' && !existence.judge(undo)?.undo ? then.event : undefined;
}
