import { Fact, isDone, known, partOf, removedSince, stepsOf } from '../changes/provenance.js';
import type { Happened, LeftAlone, Reversal, Undo } from '../changes/reversal.js';
import { bringBack, evolveAuthor, unknownAuthor, type Author } from './author.js';
import type { AuthorEvent } from './author.events.js';

type History = readonly Happened<AuthorEvent>[];
type Reason = Omit<LeftAlone, 'fact'>;

/**
 * What it means for an author to undo a change. An author whom the change added is removed, if nobody else changed the
 * author. Otherwise, each fact that the change set goes back to what it was.
 * @param books number of live books that link the author. An author who has some stays.
 * @param survivorLives whether the author of {@link survivorToAsk}, or the last survivor after that one, is live, and is
 *        not this author.
 */
export function revertAuthor(
  history: History,
  undo: Undo,
  books: number,
  survivorLives = true,
): Reversal<AuthorEvent> {
  const { existence, name, now } = pastOf(history);
  const exists = existence.judge(undo);
  const added = isAdditionOf(history, undo);
  const left: LeftAlone[] = [];

  const to = exists?.undo?.before;
  const leaves = to !== undefined && to.status !== 'live' && !sameExistence(to, now);
  const since = exists?.since ?? (added && exists ? name.since(undo) : undefined);
  const stays: Reason | undefined = since
    ? { why: 'changed-since', since }
    : leaves && books > 0
      ? { why: 'author-has-books' }
      : leaves && mergedInto(to) !== undefined && !survivorLives
        ? { why: 'author-removed' }
        : undefined;
  if (stays) left.push({ fact: added ? 'added' : whatWasDone(existence.last(undo)?.after), ...stays });

  const named = added ? undefined : name.judge(undo);
  const namedSince = named && (named.since ?? removedSince(existence, undo));
  const keepsName: Reason | undefined = namedSince
    ? { why: 'changed-since', since: namedSince }
    : named && now.status !== 'live'
      ? stays
      : undefined;
  if (keepsName) left.push({ fact: 'name', ...keepsName });
  if (isDone(history, undo)) return { events: [], left };

  const before = keepsName ? undefined : named?.undo?.before;
  const facts: AuthorEvent[] =
    before && before.status !== 'unknown' && nameOf(before) !== nameOf(now)
      ? [{ type: 'AuthorRenamed', data: { name: before.name } }]
      : [];
  const target = stays ? now : (to ?? now);
  // Only a live author can be renamed, removed or merged.
  const comes = facts.length > 0 || !sameExistence(target, now) ? bringBack(now) : [];
  const goes = [...comes, ...facts].reduce(evolveAuthor, now).status === 'live' && target.status !== 'live';
  return { events: [...comes, ...facts, ...(goes ? [leaving(target)] : [])], left };
}

/** Whether undoing makes the author live. Books that take the author back have to wait for that. */
export function comesBack(history: History, undo: Undo): boolean {
  const { existence, now } = pastOf(history);
  return now.status === 'removed' && existence.judge(undo)?.undo?.before.status === 'live';
}

/** The author whom undoing merges this one into again. */
export function survivorToAsk(history: History, undo: Undo): string | undefined {
  const to = pastOf(history).existence.judge(undo)?.undo?.before;
  return to && mergedInto(to);
}

/**
 * The author as other streams' decisions about an undoing must see it: as it was when the undoing was asked for, and as
 * the undoing left it. What came later would change decisions that were taken.
 */
export const authorAsKnown = (history: History, undo: Undo): Author =>
  known(history, undo).reduce(evolveAuthor, unknownAuthor);

function pastOf(history: History) {
  const existence = new Fact<Author>(sameExistence);
  const name = new Fact<Author>((one, other) => nameOf(one) === nameOf(other));
  const steps = stepsOf(history, unknownAuthor, evolveAuthor);
  for (const step of steps) {
    existence.setIfOther(step);
    name.setIfOther(step);
  }
  return { existence, name, now: steps.at(-1)?.after ?? unknownAuthor };
}

const isAdditionOf = ([first]: History, undo: Undo): boolean =>
  first?.type === 'AuthorAdded' && partOf(undo)(first);

const nameOf = (author: Author): string | undefined =>
  author.status === 'unknown' ? undefined : author.name;
const mergedInto = (author: Author): string | undefined =>
  author.status === 'unknown' ? undefined : author.mergedInto;
/** An author who was removed is as if never added. */
const sameExistence = (one: Author, other: Author): boolean =>
  (one.status === 'live') === (other.status === 'live') && mergedInto(one) === mergedInto(other);

const whatWasDone = (after: Author | undefined): string =>
  after?.status === 'live' ? 'restored' : after && mergedInto(after) !== undefined ? 'merged' : 'removed';

/** The books have left the author already, so a removal says nothing about books. */
function leaving(target: Author): AuthorEvent {
  const into = mergedInto(target);
  return into === undefined ? { type: 'AuthorRemoved', data: {} } : { type: 'AuthorMerged', data: { into } };
}
