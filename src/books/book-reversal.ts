import type { AuthorStanding } from '../authors/author.js';
import {
  Fact,
  isDone,
  known,
  partOf,
  removedSince,
  stepsOf,
  writtenBy,
  type Step,
} from '../changes/provenance.js';
import type { Happened, LeftAlone, Reversal, Undo } from '../changes/reversal.js';
import { bringsIn } from './book-cascade.js';
import {
  evolveBook,
  idsOf,
  removeBook,
  restoreBook,
  titleOf,
  unknownBook,
  withinLimits,
  type Book,
} from './book.js';
import type { BookEvent, Link } from './book.events.js';

type History = readonly Happened<BookEvent>[];
type Reason = Omit<LeftAlone, 'fact'>;

/** How an author stands, and of a merged author the own name, which is what books say where no credit was recorded. */
export type StandingOf = (authorId: string) => AuthorStanding & { readonly name?: string | undefined };

/**
 * What it means for a book to undo a change. A book that the change added is removed, if nobody else changed the book.
 * Otherwise, each fact that the change set goes back to what it was: existence, title, each author's link, and the order
 * of the authors.
 * @param standingOf answers for the authors of {@link authorsToAsk}.
 * @throws DomainError if the book would be beyond a limit.
 */
export function revertBook(history: History, undo: Undo, standingOf: StandingOf): Reversal<BookEvent> {
  const past = pastOf(history);
  return isAdditionOf(history, undo)
    ? revertAddition(past, history, undo)
    : revertFacts(past, history, undo, standingOf);
}

/** The authors whom undoing may link again. */
export function authorsToAsk(history: History, undo: Undo): string[] {
  const asked: string[] = [];
  for (const [id, fact] of pastOf(history).links) {
    const before = fact.judge(undo)?.undo?.before;
    if (before && linkOf(before, id)) asked.push(id);
  }
  return asked;
}

/**
 * Whether an undoing that would remove the author must leave the author: the book is live and links the author, or somebody
 * has linked the author since the undoing was asked for. Once true, it stays true.
 */
export function holdsAuthor(history: History, undo: Undo, authorId: string): boolean {
  if (meanwhile(history, undo).some((event) => bringsIn(event, authorId))) return true;
  const book = known(history, undo).reduce(evolveBook, unknownBook);
  return book.status === 'live' && linkOf(book, authorId) !== undefined;
}

interface Past {
  readonly existence: Fact<Book>;
  readonly title: Fact<Book>;
  readonly order: Fact<Book>;
  readonly links: ReadonlyMap<string, Fact<Book>>;
  readonly now: Book;
}

function pastOf(history: History): Past {
  const existence = new Fact<Book>((one, other) => (one.status === 'live') === (other.status === 'live'));
  const title = new Fact<Book>(sameTitle);
  // Authors come and go, so the lists differ. But a revert puts authors in an order only to bring that order back.
  const order = new Fact<Book>(() => true);
  const links = new Map<string, Fact<Book>>();
  const linkFact = (id: string) => {
    const fact =
      links.get(id) ?? new Fact<Book>((one, other) => sameLink(linkOf(one, id), linkOf(other, id)));
    links.set(id, fact);
    return fact;
  };
  const steps = stepsOf(history, unknownBook, evolveBook);
  for (const step of steps) {
    const { type, data } = step.event;
    switch (type) {
      case 'BookAdded':
        existence.set(step);
        title.set(step);
        break;
      case 'BookRetitled':
        title.set(step);
        break;
      case 'BookRelinked':
        linkFact(data.from).set(step);
        linkFact(data.authorId).set(step);
        break;
      case 'BookLinked':
      case 'BookLinkChanged':
      case 'BookUnlinked':
        linkFact(data.authorId).set(step);
        break;
      case 'AuthorsReordered':
        order.set(step);
        break;
      case 'BookRemoved':
        existence.set(step);
        break;
      case 'BookRestored':
        existence.set(step);
        title.setIfOther(step);
        for (const id of linksThatDiffer(step)) linkFact(id).set(step);
    }
  }
  return { existence, title, order, links, now: steps.at(-1)?.after ?? unknownBook };
}

const isAdditionOf = ([first]: History, undo: Undo): boolean =>
  first?.type === 'BookAdded' && partOf(undo)(first);

function revertAddition(past: Past, history: History, undo: Undo): Reversal<BookEvent> {
  const verdict = past.existence.judge(undo);
  const others = verdict?.undo ? [past.title, past.order, ...past.links.values()] : [];
  const since = verdict?.since ?? others.map((fact) => fact.since(undo)).find((event) => event !== undefined);
  if (since) return { events: [], left: [{ fact: 'added', why: 'changed-since', since }] };
  return { events: verdict && !isDone(history, undo) ? removeBook(past.now) : [], left: [] };
}

function revertFacts(past: Past, history: History, undo: Undo, standingOf: StandingOf): Reversal<BookEvent> {
  const { now } = past;
  const exists = past.existence.judge(undo);
  const gone = removedSince(past.existence, undo);
  const left: LeftAlone[] = [];
  /** The step before which the fact had the value that it goes back to. */
  const back = (fact: Fact<Book>, name: string): Step<Book> | undefined => {
    const verdict = fact.judge(undo);
    const since = verdict && (verdict.since ?? gone);
    if (since) left.push({ fact: name, why: 'changed-since', since });
    return since ? undefined : verdict?.undo;
  };
  if (exists?.since) {
    const { status } = past.existence.last(undo)?.after ?? unknownBook;
    left.push({
      fact: status === 'live' ? 'restored' : 'removed',
      why: 'changed-since',
      since: exists.since,
    });
  }
  const title = back(past.title, 'title');
  const toUndo = linksToUndo(past, history, undo, gone, standingOf);
  for (const id of past.links.keys()) {
    const reason = toUndo.kept.get(id);
    if (reason) left.push({ fact: `link ${id}`, ...reason });
  }
  const others = meanwhile(history, undo);
  let order = back(past.order, 'order');
  const since = order && rearranged(order.before, others);
  if (since) {
    left.push({ fact: 'order', why: 'changed-since', since });
    order = undefined;
  }
  if (now.status === 'unknown' || isDone(history, undo)) return { events: [], left };

  const draft = new Draft(now);
  if (title) draft.retitle(title.before);
  const shuffled = past.order.since(undo)?.position ?? -1n;
  const isShuffled = ({ event, before }: Step<Book>) =>
    shuffled > event.position || rearranged(before, others) !== undefined;
  const returned = undoLinks(draft, toUndo, history.filter(partOf(undo)), isShuffled);
  // Whoever returns has to stand as the order says that was undone earlier.
  const ordered = order ?? (returned.length > 0 ? past.order.undone(undo) : undefined);
  if (ordered) draft.reorder(orderBefore(ordered, returned, joinedSince(history, ordered, undo)));
  const { events: facts } = draft;

  const live = (exists?.undo?.before ?? now).status === 'live';
  // Only a live book can be changed.
  const comes = live || facts.length > 0 ? restoreBook(now) : [];
  const goes = live ? [] : removeBook([...comes, ...facts].reduce(evolveBook, now));
  return { events: withinLimits(now, [...comes, ...facts, ...goes]), left };
}

/** A book, and the events that have changed it. */
class Draft {
  readonly events: BookEvent[] = [];

  constructor(public book: Book) {}

  take(event: BookEvent): void {
    this.events.push(event);
    this.book = evolveBook(this.book, event);
  }

  retitle(like: Book): void {
    if (like.status !== 'unknown' && !sameTitle(like, this.book))
      this.take({ type: 'BookRetitled', data: titleOf(like) });
  }

  reorder(wanted: readonly string[]): void {
    const list = listOf(this.book);
    const authorIds = inOrder(list, wanted);
    if (authorIds.join() !== list.join()) this.take({ type: 'AuthorsReordered', data: { authorIds } });
  }

  unlink(authorId: string): void {
    if (linkOf(this.book, authorId)) this.take({ type: 'BookUnlinked', data: { authorId } });
  }
}

/** An author who left the list and is back, and the step before which the author had been there. */
type Returned = readonly [authorId: string, step: Step<Book>];

/** @param isShuffled whether somebody else has put the authors in places since a step. */
function undoLinks(
  draft: Draft,
  { steps, survivors }: LinksToUndo,
  parts: History,
  isShuffled: (step: Step<Book>) => boolean,
): Returned[] {
  const now = draft.book;
  const isGone = (id: string) => linkOf(steps.get(id)?.before ?? unknownBook, id) === undefined;
  /** Where an author goes in the list: to the old place, but whom somebody else has put elsewhere since stays there. */
  const placeOf = (id: string, step: Step<Book>, leaver?: string) => {
    const others = listOf(draft.book).filter((other) => other !== id && other !== leaver);
    return placeIn(others, id, listOf(linkOf(now, id) && isShuffled(step) ? now : step.before));
  };
  const relinkOf = new Map(relinksOf(parts).map((relink) => [relink.data.from, relink]));
  const relinked = new Set(
    [...relinkOf].flatMap(([id, { data }]) => (steps.has(id) && !isGone(id) ? [data.authorId] : [])),
  );
  for (const id of steps.keys()) if (isGone(id) && !relinked.has(id)) draft.unlink(id);

  // The last author to leave returns first, and so finds the list that the author left.
  const turnOf = ([id, { event }]: Returned) => (relinkOf.get(id) ?? event).position;
  const turns = [...steps].toSorted((one, other) => {
    const [first, second] = [turnOf(one), turnOf(other)];
    return first < second ? 1 : first > second ? -1 : relinkOf.has(one[0]) ? -1 : 1;
  });
  const leavers = leaversOf(parts);
  const returned = new Set<string>();
  for (const [id, step] of turns) {
    const link = linkOf(step.before, id);
    if (!link) continue;
    const into = relinkOf.get(id)?.data.authorId;
    const survivor = survivors.get(id);
    if (into !== undefined && steps.has(into) && !returned.has(into) && linkOf(draft.book, into)) {
      // Somebody else has put the survivor in a place since: the author whom the link is about takes that place.
      const takesOver = isShuffled(step) && isGone(into) && !linkOf(draft.book, id);
      const place = takesOver ? listOf(draft.book).indexOf(into) : placeOf(id, step, into);
      draft.take({ type: 'BookRelinked', data: { from: into, ...link, position: place + 1 } });
      returned.add(id);
      continue;
    }
    if (leavers.has(id) && !isShuffled(step) && isMoved(id, listOf(draft.book), listOf(step.before)))
      draft.unlink(id);
    const current = linkOf(draft.book, id);
    if (current) {
      if (!sameLink(current, link)) draft.take({ type: 'BookLinkChanged', data: link });
    } else if (!survivor || !linkOf(draft.book, survivor.authorId)) {
      draft.take({ type: 'BookLinked', data: { ...link, ...survivor, position: placeOf(id, step) + 1 } });
      if (!survivor) returned.add(id);
    }
  }
  return turns.filter(([id]) => returned.has(id) || (leavers.has(id) && !isGone(id)));
}

/**
 * The order before a step. Authors whom the change itself had put there by then stand where they were before that.
 * @param joined authors whom somebody has put into the list since: they have no place in that order.
 */
function orderBefore(
  { before, event }: Step<Book>,
  returned: readonly Returned[],
  joined: ReadonlySet<string>,
): string[] {
  const moved = new Set(returned.flatMap(([id, step]) => (step.event.position < event.position ? [id] : [])));
  let order = listOf(before).filter((id) => !moved.has(id) && !joined.has(id));
  for (const [id, step] of returned)
    if (!order.includes(id)) order = order.toSpliced(placeIn(order, id, listOf(step.before)), 0, id);
  return order;
}

/** The authors whom others than the change, and no reverts, have put into the list after a step. */
function joinedSince(history: History, { event: { position } }: Step<Book>, undo: Undo): Set<string> {
  const isPart = partOf(undo);
  const joining = history.filter(
    (event) => event.position > position && !isPart(event) && event.metadata.reverts === undefined,
  );
  return new Set(
    joining.flatMap(({ type, data }) =>
      type === 'BookLinked' || type === 'BookRelinked' ? [data.authorId] : [],
    ),
  );
}

/** What others have done to the stream since the undoing was asked for. */
function meanwhile(history: History, undo: Undo): History {
  const [isPart, isOwn] = [partOf(undo), writtenBy(undo)];
  return history.filter((event) => event.position >= undo.before && !isPart(event) && !isOwn(event));
}

/**
 * The event among these that has put one of the book's authors in or out. The authors are not put in their old order then:
 * what that is would depend on when it is decided.
 */
function rearranged(book: Book, events: History): Happened<unknown> | undefined {
  const list = events.length > 0 ? new Set(listOf(book)) : undefined;
  return events.find((event) => concernedBy(event).some((id) => list?.has(id)));
}

/** The authors whom an event puts in the list or out of it. */
function concernedBy({ type, data }: BookEvent): string[] {
  if (type === 'BookLinked' || type === 'BookUnlinked') return [data.authorId];
  return type === 'BookRelinked' ? [data.from, data.authorId] : [];
}

const relinksOf = (events: History) => events.filter((event) => event.type === 'BookRelinked');

interface LinksToUndo {
  /** Author by author: the step before which the author's link was as it shall be. */
  readonly steps: ReadonlyMap<string, Step<Book>>;
  /** Authors whose links stay, and why. */
  readonly kept: ReadonlyMap<string, Reason>;
  /** Who is linked in place of an author who has been merged since. */
  readonly survivors: ReadonlyMap<string, Pick<Link, 'authorId' | 'creditedAs'>>;
}

function linksToUndo(
  past: Past,
  history: History,
  undo: Undo,
  gone: Happened<unknown> | undefined,
  standingOf: StandingOf,
): LinksToUndo {
  const relinks = relinksOf(history.filter(partOf(undo)));
  const steps = new Map<string, Step<Book>>();
  const kept = new Map<string, Reason>();
  const survivors = new Map<string, Pick<Link, 'authorId' | 'creditedAs'>>();
  const keep = (id: string, reason: Reason) => {
    steps.delete(id);
    kept.set(id, reason);
  };
  const returns = (id: string) => {
    const before = steps.get(id)?.before;
    return before && linkOf(before, id);
  };
  for (const [id, fact] of past.links) {
    const verdict = fact.judge(undo);
    const since = verdict && (verdict.since ?? gone);
    if (since) keep(id, { why: 'changed-since', since });
    else if (verdict?.undo) steps.set(id, verdict.undo);
  }
  // The change brought in the author into whom an author who returns has been merged since. That link stays in this place.
  for (const id of [...steps.keys()]) {
    if (!returns(id) || linkOf(past.now, id)) continue;
    const { id: authorId } = standingOf(id);
    const step = steps.get(authorId);
    if (authorId !== id && step && linkOf(past.now, authorId) && !returns(authorId))
      keep(authorId, { why: 'author-removed' });
  }
  // Both links of a relink go back, or neither. Otherwise the book would name one person twice, or not at all. A change may
  // relink an author onwards, so the reason to keep a link spreads both ways.
  for (const { data } of [...relinks, ...relinks.toReversed()]) {
    const { from, authorId: into } = data;
    const reason = kept.get(from) ?? kept.get(into);
    if (reason) for (const id of [from, into]) keep(id, reason);
    else if (returns(from) && !isLive(standingOf(from), from))
      for (const id of [from, into]) keep(id, { why: 'author-removed' });
  }
  const relinked = new Set(relinks.map(({ data }) => data.from));
  for (const [id, step] of steps) {
    const link = returns(id);
    if (!link || linkOf(past.now, id) || relinked.has(id)) continue;
    const { id: authorId, status, name = null } = standingOf(id);
    const fact = past.links.get(authorId);
    const since = fact?.next(undo)?.event ?? fact?.since(undo);
    if (status !== 'live') keep(id, { why: 'author-removed' });
    else if (authorId === id) continue;
    else if (linkOf(past.now, authorId)) steps.delete(id);
    else if (since && since.position > step.event.position) keep(id, { why: 'changed-since', since });
    else survivors.set(id, { authorId, creditedAs: link.creditedAs ?? name });
  }
  return { steps, kept, survivors };
}

/** Whether the author is there, and nobody else in the author's place. */
const isLive = ({ id, status }: AuthorStanding, authorId: string): boolean =>
  status === 'live' && id === authorId;

const linksOf = (book: Book): readonly Link[] => (book.status === 'unknown' ? [] : book.links);
const listOf = (book: Book): string[] => idsOf(linksOf(book));
const linkOf = (book: Book, id: string): Link | undefined =>
  linksOf(book).find(({ authorId }) => authorId === id);

const sameTitle = (one: Book, other: Book): boolean =>
  one.status === 'unknown' || other.status === 'unknown'
    ? one.status === other.status
    : one.title === other.title && one.filedAs === other.filedAs;
const sameLink = (one: Link | undefined, other: Link | undefined): boolean =>
  one?.roles.join() === other?.roles.join() && one?.creditedAs === other?.creditedAs;

/** The authors whose links a restore of the book changed. Only one by an older version did. */
function linksThatDiffer({ before, after }: Step<Book>): string[] {
  const byId = (book: Book) => new Map(linksOf(book).map((link) => [link.authorId, link]));
  const [was, is] = [byId(before), byId(after)];
  return [...new Set([...was.keys(), ...is.keys()])].filter((id) => !sameLink(was.get(id), is.get(id)));
}

/** The authors whom events took out of the list, if only to put them elsewhere. */
const leaversOf = (events: History): Set<string> =>
  new Set(events.flatMap((event) => (event.type === 'BookLinked' ? [] : concernedBy(event))));

/** Whether an author has another place among those who are in both lists. */
function isMoved(id: string, list: readonly string[], old: readonly string[]): boolean {
  const [these, those] = [new Set(list), new Set(old)];
  return (
    list.filter((other) => those.has(other)).indexOf(id) !==
    old.filter((other) => these.has(other)).indexOf(id)
  );
}

/** The place in a list, from 0, for somebody who comes back: after the nearest of those who came before in the old list. */
function placeIn(list: readonly string[], id: string, old: readonly string[]): number {
  const places = new Map(list.map((one, place) => [one, place]));
  const nearest = old.slice(0, Math.max(old.indexOf(id), 0)).findLast((one) => places.has(one));
  return nearest === undefined ? 0 : (places.get(nearest) ?? 0) + 1;
}

/** A list whose authors have the wanted order. Authors who are not in that order keep their places. */
function inOrder(list: readonly string[], wanted: readonly string[]): string[] {
  const present = new Set(list);
  const ordered = wanted.filter((id) => present.has(id));
  const moving = new Set(ordered);
  const next = ordered.values();
  return list.map((id) => (moving.has(id) ? (next.next().value ?? id) : id));
}
