/** An event of a log, as decisions about the past need it: a recorded event is one. */
export type Happened<Event> = Event & {
  readonly id: string;
  readonly position: bigint;
  readonly metadata: {
    readonly actor: string;
    readonly correlationId: string;
    readonly causationId?: string;
    readonly reverts?: string;
  };
};

/** A request to undo a change in one stream. */
export interface Undo {
  /** Id of the change to undo. */
  readonly change: string;
  /** Only the events of the change before this position are undone: it is the position of the `ChangeReverted`. */
  readonly before: bigint;
  /**
   * Ids of events of the change before this position. What policies did because of these is undone whenever they did it:
   * a policy may be at it while the undoing is asked for.
   */
  readonly causes?: ReadonlySet<string> | undefined;
  /** Id of the change that undoes. What this change did is not "changed since". */
  readonly by: string;
}

/** A fact of a change that stays as it is, and why. */
export interface LeftAlone {
  /** What the change did: `added`, `removed`, `restored`, `merged`, `name`, `title`, `order`, or `link <author id>`. */
  readonly fact: string;
  /** `author-removed`: the author that a link, or the survivor that a merge, would need again. */
  readonly why: 'changed-since' | 'author-has-books' | 'author-removed';
  /** The event that changed the fact since. */
  readonly since?: Happened<unknown>;
}

/** What it means for one stream to undo a change. */
export interface Reversal<Event> {
  readonly events: readonly Event[];
  readonly left: readonly LeftAlone[];
}
