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
export type StandingOf = (authorId: string) => AuthorStanding & { readonly name?: string };

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
  const isOwn = writtenBy(undo);
  if (history.some((event) => event.position >= undo.before && !isOwn(event) && bringsIn(event, authorId)))
    return true;
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
  const title = new Fact<Book>((one, other) => sameTitle(one, other));
  const order = new Fact<Book>(sameOrder);
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
  const relinks = history.filter(partOf(undo)).filter((event) => event.type === 'BookRelinked');
  const { steps, kept, survivors } = linksToUndo(past, undo, gone, relinks, standingOf);
  for (const [id, reason] of kept) left.push({ fact: `link ${id}`, ...reason });
  const order = back(past.order, 'order');
  if (isDone(history, undo) || now.status === 'unknown') return { events: [], left };

  let book: Book = now;
  const facts: BookEvent[] = [];
  const take = (event: BookEvent) => {
    facts.push(event);
    book = evolveBook(book, event);
  };
  if (title && title.before.status !== 'unknown' && !sameTitle(title.before, book))
    take({ type: 'BookRetitled', data: titleOf(title.before) });

  const returned: (readonly [string, Step<Book>])[] = [];
  for (const { data } of relinks.toReversed()) {
    const [from, into] = [steps.get(data.from), steps.get(data.authorId)];
    const link = from && linkOf(from.before, data.from);
    if (!from || !link || !into || !linkOf(book, data.authorId)) continue;
    const others = listOf(book).filter((id) => id !== data.from && id !== data.authorId);
    const position = placeIn(others, data.from, listOf(from.before)) + 1;
    take({ type: 'BookRelinked', data: { from: data.authorId, ...link, position } });
    returned.push([data.from, from]);
  }
  for (const [id, { before }] of steps)
    if (!linkOf(before, id) && linkOf(book, id)) take({ type: 'BookUnlinked', data: { authorId: id } });
  // The last author to leave returns first, and so finds the list that the author left.
  const latestFirst = [...steps].toSorted(([, one], [, other]) =>
    one.event.position < other.event.position ? 1 : -1,
  );
  const movedBy = leaversOf(history.filter(partOf(undo)));
  const shuffled = past.order.since(undo);
  for (const [id, step] of latestFirst) {
    const link = linkOf(step.before, id);
    if (!link) continue;
    const goesTo = () =>
      placeIn(
        listOf(book).filter((other) => other !== id),
        id,
        listOf(step.before),
      );
    const current = linkOf(book, id);
    const moved =
      current &&
      movedBy.has(id) &&
      !(shuffled && shuffled.position > step.event.position) &&
      listOf(book)[goesTo()] !== id;
    if (moved) take({ type: 'BookUnlinked', data: { authorId: id } });
    if (!current || moved) {
      const survivor = survivors.get(id);
      if (survivor && linkOf(book, survivor.authorId)) continue;
      take({ type: 'BookLinked', data: { ...link, ...survivor, position: goesTo() + 1 } });
      if (!survivor) returned.push([id, step]);
    } else if (!sameLink(current, link)) take({ type: 'BookLinkChanged', data: link });
  }
  if (order) {
    let wanted = listOf(order.before);
    for (const [id, step] of returned)
      if (!wanted.includes(id)) wanted = wanted.toSpliced(placeIn(wanted, id, listOf(step.before)), 0, id);
    const authorIds = inOrder(listOf(book), wanted);
    if (authorIds.join() !== listOf(book).join()) take({ type: 'AuthorsReordered', data: { authorIds } });
  }

  const live = exists?.undo ? exists.undo.before.status === 'live' : now.status === 'live';
  // Only a live book can be changed.
  const comes = live || facts.length > 0 ? restoreBook(now) : [];
  const goes = live ? [] : removeBook([...comes, ...facts].reduce(evolveBook, now));
  return { events: withinLimits(now, [...comes, ...facts, ...goes]), left };
}

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
  undo: Undo,
  gone: Happened<unknown> | undefined,
  relinks: readonly { readonly data: { readonly from: string; readonly authorId: string } }[],
  standingOf: StandingOf,
): LinksToUndo {
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
  // Both links of a relink go back, or neither: else, the book would name one person twice, or not at all. In one
  // change, an author may be relinked onwards, so what keeps a link spreads both ways.
  for (const { data } of [...relinks, ...relinks.toReversed()]) {
    const { from, authorId: into } = data;
    const reason = kept.get(from) ?? kept.get(into);
    if (reason) for (const id of [from, into]) keep(id, reason);
    else if (returns(from) && !isHimself(standingOf(from), from))
      for (const id of [from, into]) keep(id, { why: 'author-removed' });
  }
  const relinked = new Set(relinks.map(({ data }) => data.from));
  for (const id of steps.keys()) {
    const link = returns(id);
    if (!link || linkOf(past.now, id) || relinked.has(id)) continue;
    const standing = standingOf(id);
    if (standing.status !== 'live') keep(id, { why: 'author-removed' });
    if (standing.status !== 'live' || standing.id === id) continue;
    const since = past.links.get(standing.id)?.next(undo)?.event;
    if (linkOf(past.now, standing.id)) steps.delete(id);
    else if (since) keep(id, { why: 'changed-since', since });
    else survivors.set(id, { authorId: standing.id, creditedAs: link.creditedAs ?? standing.name ?? null });
  }
  return { steps, kept, survivors };
}

const isHimself = ({ id, status }: AuthorStanding, authorId: string): boolean =>
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
/** Whether those authors who are in both lists are in the same order. */
function sameOrder(one: Book, other: Book): boolean {
  const [these, those] = [new Set(listOf(one)), new Set(listOf(other))];
  return [...these].filter((id) => those.has(id)).join() === [...those].filter((id) => these.has(id)).join();
}

/** The authors whose links a restore of the book changed. Only one by an older version did. */
function linksThatDiffer({ before, after }: Step<Book>): string[] {
  const byId = (book: Book) => new Map(linksOf(book).map((link) => [link.authorId, link]));
  const [was, is] = [byId(before), byId(after)];
  return [...new Set([...was.keys(), ...is.keys()])].filter((id) => !sameLink(was.get(id), is.get(id)));
}

/** The authors whom events took out of the list, if only to put them elsewhere. */
function leaversOf(events: History): Set<string> {
  const leavers = new Set<string>();
  for (const { type, data } of events)
    if (type === 'BookUnlinked') leavers.add(data.authorId);
    else if (type === 'BookRelinked') leavers.add(data.from).add(data.authorId);
  return leavers;
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
