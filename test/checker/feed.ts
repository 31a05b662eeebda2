/** An event as the audit feed shows it. The checker shares no code with the service: this is all that it knows. */
export interface FeedEvent {
  readonly position: string;
  readonly stream: string;
  readonly revision: string;
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, any>>;
  readonly recordedAt: string;
  readonly actor: string;
  readonly commandId: string;
  readonly correlationId: string;
  readonly causationId: string;
  readonly reverts?: string | null;
}

export interface Link {
  readonly authorId: string;
  readonly roles: readonly string[];
  readonly creditedAs: string | null;
  /** The event that brought the author into the list. */
  readonly by: FeedEvent;
}

export interface Author {
  status: 'live' | 'removed' | 'merged';
  name: string;
  into?: string;
  revision: bigint;
  /** The last event that made the author live, removed or merged. */
  by: FeedEvent;
}

export interface Book {
  status: 'live' | 'removed';
  title: string;
  links: readonly Link[];
  revision: bigint;
}

/** Who set a fact to which value: what a revert may undo, and what it must leave alone. */
class Fact {
  /** The last event that set the fact, or undid what set it. */
  touched: FeedEvent | undefined;
  private entries: Entry[] = [];
  private readonly undone = new Map<string, { readonly entries: Entry[]; readonly top: Entry | undefined }>();

  set(value: string, event: FeedEvent): void {
    this.entries.push({ value, change: event.correlationId, event, redoneBy: new Set() });
  }

  get top(): Entry | undefined {
    return this.entries.at(-1);
  }

  /** Who else than this change has set the fact, in a way that still shows. */
  others(change: string): Entry[] {
    return this.entries.filter((entry) => entry.change !== change && !entry.redoneBy.has(change));
  }

  /** @returns what is wrong with an event that undoes a change. */
  undo(value: string, event: FeedEvent): string | undefined {
    const change = event.reverts ?? '';
    const by = event.correlationId;
    const isOf = (entry: Entry | undefined) => entry?.change === change || entry?.redoneBy.has(change);
    if (isOf(this.top)) {
      let keep = this.entries.length;
      while (keep > 0 && isOf(this.entries[keep - 1])) keep -= 1;
      const popped = this.entries.splice(keep);
      this.undone.set(by, { entries: popped, top: this.top });
      const before = this.top?.value ?? NOTHING;
      return value === before ? undefined : `sets ${value} instead of ${before}`;
    }
    const redo = this.undone.get(change);
    if (redo && redo.top === this.top) {
      for (const entry of redo.entries) entry.redoneBy.add(by);
      this.entries.push(...redo.entries);
      this.undone.delete(change);
      return value === this.top?.value ? undefined : `sets ${value} instead of ${this.top?.value}`;
    }
    return `undoes what ${this.top?.event.type ?? 'nobody'} ${this.top?.event.position ?? ''} of ${this.top?.change ?? ''} did`;
  }
}

interface Entry {
  readonly value: string;
  readonly change: string;
  readonly event: FeedEvent;
  readonly redoneBy: Set<string>;
}

const NOTHING = 'nothing';
/** How long a policy may go on with what it has read, by the clock of the log. */
const AT_WORK_MS = 10_000;

const idOf = (stream: string) => stream.slice(stream.indexOf('-') + 1);
const linkValue = (roles: readonly string[], creditedAs: string | null) =>
  JSON.stringify([[...roles].sort(), creditedAs]);
const same = (a: readonly string[], b: readonly string[]) => [...a].sort().join() === [...b].sort().join();

/** What the feed says, folded independently, and everything that is wrong with it. */
export class Feed {
  readonly authors = new Map<string, Author>();
  readonly books = new Map<string, Book>();
  readonly wrong: string[] = [];
  /** Events by stream and revision. */
  readonly byRevision = new Map<string, FeedEvent>();
  events = 0;
  private readonly byId = new Map<string, FeedEvent>();
  private readonly order = new Map<string, number>();
  private readonly facts = new Map<string, Map<string, Fact>>();
  private readonly revisions = new Map<string, bigint>();
  private readonly commands = new Map<string, FeedEvent>();
  /** The `ChangeReverted` of each change, and which change each revert undoes. */
  private readonly reverts = new Map<string, FeedEvent[]>();

  /** @param atWorkMs how long a policy may go on with what it has read: longer if it is frozen meanwhile. */
  constructor(private readonly atWorkMs = AT_WORK_MS) {}

  take(event: FeedEvent): void {
    this.events += 1;
    this.checkPlace(event);
    const category = event.stream.slice(0, event.stream.indexOf('-'));
    if (category === 'author') this.takeAuthor(event);
    else if (category === 'book') this.takeBook(event);
    else if (event.type === 'ChangeReverted') {
      const change = event.data['change'] as string;
      this.reverts.set(change, [...(this.reverts.get(change) ?? []), event]);
    }
  }

  private say(event: FeedEvent, what: string): void {
    this.wrong.push(`${event.position} ${event.type} of ${event.stream} revision ${event.revision}: ${what}`);
  }

  private checkPlace(event: FeedEvent): void {
    const revision = BigInt(event.revision);
    const expected = (this.revisions.get(event.stream) ?? -1n) + 1n;
    if (revision !== expected) this.say(event, `revision ${expected} was expected`);
    this.revisions.set(event.stream, revision);
    if (this.byId.has(event.id)) this.say(event, 'its id stands in the log twice');
    this.byId.set(event.id, event);
    this.order.set(event.id, this.events);
    this.byRevision.set(`${event.stream} ${revision}`, event);
    // A command writes into one stream, in one append.
    if (event.causationId === event.commandId) {
      const before = this.commands.get(event.commandId);
      if (before && (before.stream !== event.stream || BigInt(before.revision) !== revision - 1n))
        this.say(event, 'its command was carried out twice');
      this.commands.set(event.commandId, event);
    }
  }

  private fact(stream: string, name: string): Fact {
    const ofStream = this.facts.get(stream) ?? new Map<string, Fact>();
    this.facts.set(stream, ofStream);
    const fact = ofStream.get(name) ?? new Fact();
    ofStream.set(name, fact);
    return fact;
  }

  /** Records who set a fact. The event of a revert must set what was there before the change that it undoes. */
  private set(event: FeedEvent, name: string, value: string): void {
    const fact = this.fact(event.stream, name);
    fact.touched = event;
    if (event.reverts === null || event.reverts === undefined) return fact.set(value, event);
    const flaw = fact.undo(value, event);
    if (flaw !== undefined) this.say(event, `of the revert of ${event.reverts}, ${name}: ${flaw}`);
  }

  private causeOf(event: FeedEvent): FeedEvent | undefined {
    if (event.causationId === event.commandId) return undefined;
    const cause = this.byId.get(event.causationId);
    if (!cause) this.say(event, `its cause ${event.causationId} is not in the log`);
    else if (cause.correlationId !== event.correlationId) this.say(event, 'its cause is of another change');
    return cause;
  }

  private takeAuthor(event: FeedEvent): void {
    const id = idOf(event.stream);
    const { type, data } = event;
    const before = this.authors.get(id);
    const revision = BigInt(event.revision);
    const cause = this.causeOf(event);
    if (!before) {
      if (type !== 'AuthorAdded') return this.say(event, 'the author is unknown');
      this.authors.set(id, { status: 'live', name: data['name'], revision, by: event });
      this.set(event, 'existence', 'live');
      return this.set(event, 'name', data['name']);
    }
    before.revision = revision;
    switch (type) {
      case 'AuthorRenamed':
        if (before.status !== 'live') this.say(event, `the author is ${before.status}`);
        before.name = data['name'];
        return this.set(event, 'name', data['name']);
      case 'AuthorRemoved':
      case 'AuthorMerged': {
        if (before.status !== 'live') this.say(event, `the author is ${before.status}`);
        if (event.reverts && type === 'AuthorRemoved') this.checkUntouched(event);
        before.status = type === 'AuthorMerged' ? 'merged' : 'removed';
        if (type === 'AuthorMerged') before.into = data['into'];
        before.by = event;
        return this.set(
          event,
          'existence',
          before.into && type === 'AuthorMerged' ? `merged ${before.into}` : NOTHING,
        );
      }
      case 'AuthorRestored': {
        if (before.status === 'live') this.say(event, 'the author is live');
        if (before.status === 'merged' && !event.reverts && cause?.type !== 'AuthorMerged')
          this.say(event, 'only a revert brings a merged author back');
        if (data['name'] !== before.name) this.say(event, `the author was called ${before.name}`);
        before.status = 'live';
        delete before.into;
        before.by = event;
        return this.set(event, 'existence', 'live');
      }
      default:
        this.say(event, 'of a type that the checker does not know');
    }
  }

  /** What a revert takes out of the world, nobody else may have changed. */
  private checkUntouched(event: FeedEvent): void {
    // Who takes back that something was restored takes back no more than that.
    const existence = this.fact(event.stream, 'existence').top;
    if (existence?.change !== event.reverts || !/Added$/.test(existence?.event.type ?? '')) return;
    for (const [name, fact] of this.facts.get(event.stream) ?? []) {
      const others = fact.others(event.reverts ?? '');
      if (others[0]) this.say(event, `${others[0].event.actor} set ${name} at ${others[0].event.position}`);
    }
  }

  private takeBook(event: FeedEvent): void {
    const id = idOf(event.stream);
    const { type, data } = event;
    const before = this.books.get(id);
    const revision = BigInt(event.revision);
    const title = JSON.stringify([data['title'], data['filedAs'] ?? null]);
    if (!before) {
      if (type !== 'BookAdded') return this.say(event, 'the book is unknown');
      this.books.set(id, { status: 'live', title: data['title'], links: [], revision });
      this.set(event, 'existence', 'live');
      return this.set(event, 'title', title);
    }
    this.checkEffect(event, before);
    before.revision = revision;
    if (type === 'BookRestored') {
      if (before.status === 'live') this.say(event, 'the book is live');
      const ids = (data['authors'] as Link[]).map(({ authorId }) => authorId);
      if (ids.join() !== before.links.map(({ authorId }) => authorId).join())
        this.say(event, 'links were lost');
      before.status = 'live';
      before.links = before.links.map((link) => ({ ...link, by: event }));
      return this.set(event, 'existence', 'live');
    }
    if (before.status !== 'live') this.say(event, 'the book is removed');
    const { links } = before;
    const at = (authorId: string) => links.findIndex((link) => link.authorId === authorId);
    const { authorId, roles, creditedAs, position } = data as Link & { position: number };
    switch (type) {
      case 'BookRetitled':
        before.title = data['title'];
        return this.set(event, 'title', title);
      case 'BookLinked':
        if (at(authorId) >= 0) this.say(event, 'the author is linked already');
        if (position < 1 || position > links.length + 1) this.say(event, 'the positions have a gap');
        before.links = links.toSpliced(position - 1, 0, { authorId, roles, creditedAs, by: event });
        return this.set(event, `link ${authorId}`, linkValue(roles, creditedAs));
      case 'BookLinkChanged':
        if (at(authorId) < 0) this.say(event, 'the author is not linked');
        before.links = links.map((link) =>
          link.authorId === authorId ? { ...link, roles, creditedAs } : link,
        );
        return this.set(event, `link ${authorId}`, linkValue(roles, creditedAs));
      case 'AuthorsReordered': {
        const ids = data['authorIds'] as string[];
        if (
          !same(
            ids,
            links.map((link) => link.authorId),
          )
        )
          this.say(event, 'it names other authors');
        before.links = ids.flatMap((each) => links[at(each)] ?? []);
        return;
      }
      case 'BookUnlinked':
        if (at(authorId) < 0) this.say(event, 'the author is not linked');
        before.links = links.filter((link) => link.authorId !== authorId);
        return this.set(event, `link ${authorId}`, NOTHING);
      case 'BookRelinked': {
        const from = data['from'] as string;
        if (at(from) < 0) this.say(event, 'the author is not linked');
        const others = links.filter((link) => link.authorId !== from && link.authorId !== authorId);
        if (position < 1 || position > others.length + 1) this.say(event, 'the positions have a gap');
        before.links = others.toSpliced(position - 1, 0, { authorId, roles, creditedAs, by: event });
        this.set(event, `link ${from}`, NOTHING);
        return this.set(event, `link ${authorId}`, linkValue(roles, creditedAs));
      }
      case 'BookRemoved':
        if (event.reverts) this.checkUntouched(event);
        before.status = 'removed';
        return this.set(event, 'existence', NOTHING);
      default:
        this.say(event, 'of a type that the checker does not know');
    }
  }

  /** An effect of a policy must be what its cause asks for, and nothing else. */
  private checkEffect(event: FeedEvent, book: Book): void {
    const cause = this.causeOf(event);
    if (!cause) return;
    const { type, data } = event;
    const author = idOf(cause.stream);
    const link = book.links.find(({ authorId }) => authorId === author);
    if (cause.type === 'ChangeReverted') {
      if (event.reverts !== cause.data['change'])
        this.say(event, 'it undoes another change than its cause says');
      return;
    }
    if (event.reverts) return this.say(event, 'its cause is no revert');
    if (!link) return this.say(event, 'the author of its cause is not linked');
    const by = this.authors.get(author)?.by;
    // Whoever brings the author back meets a policy at work, for a moment.
    if (by && by !== cause && Date.parse(event.recordedAt) - Date.parse(by.recordedAt) > this.atWorkMs)
      this.say(event, 'its cause stands no more');
    if (cause.type === 'AuthorRemoved') {
      const mode = cause.data['books'] as string;
      const sole = book.links.length === 1;
      const removes = mode === 'remove-all' || (mode === 'remove-sole-authored' && sole);
      const fits = removes ? type === 'BookRemoved' : type === 'BookUnlinked' && data['authorId'] === author;
      if (mode === undefined || !fits) this.say(event, `a removal with books=${mode} does not ask for it`);
    } else if (cause.type === 'AuthorMerged') {
      if (type !== 'BookRelinked' || data['from'] !== author)
        return this.say(event, 'a merge does not ask for it');
      const into = book.links.find(({ authorId }) => authorId === data['authorId']);
      if (!this.chainOf(author).includes(data['authorId'] as string))
        this.say(event, 'the author was not merged into this one');
      if (!same(data['roles'] as string[], [...new Set([...link.roles, ...(into?.roles ?? [])])]))
        this.say(event, 'the roles are not united');
      const credit = into ? into.creditedAs : (link.creditedAs ?? this.authors.get(author)?.name);
      if (data['creditedAs'] !== credit) this.say(event, `the credit should be ${credit}`);
      const places = [link, into].flatMap((each) => (each ? [book.links.indexOf(each) + 1] : []));
      if (data['position'] !== Math.min(...places)) this.say(event, 'the position is not the lowest');
    } else this.say(event, `a ${cause.type} asks for nothing`);
  }

  /** The authors that an id leads to, the last survivor last. A circle ends where it closes. */
  chainOf(id: string): string[] {
    const chain: string[] = [];
    for (let next = this.authors.get(id)?.into; next !== undefined && !chain.includes(next);) {
      chain.push(next);
      next = this.authors.get(next)?.into;
    }
    return chain;
  }

  survivorOf(id: string): string {
    return this.chainOf(id).at(-1) ?? id;
  }

  private isInEffect(change: string, seen = new Set<string>()): boolean {
    if (seen.has(change)) return true;
    seen.add(change);
    return !(this.reverts.get(change) ?? []).some(({ correlationId }) =>
      this.isInEffect(correlationId, seen),
    );
  }

  /** What must hold when no policy has anything left to do. */
  checkEnd(): void {
    for (const [id, author] of this.authors)
      if (author.status === 'merged' && this.authors.get(this.survivorOf(id))?.status === 'merged')
        this.wrong.push(`author ${id} was merged in a circle`);
    for (const [id, book] of this.books)
      for (const { authorId, by } of book.status === 'live' ? book.links : []) {
        const author = this.authors.get(authorId);
        // A link waits for an author who was removed as having no books, and in a book that came back later.
        const waits =
          author?.status === 'removed' &&
          (author.by.data['books'] === undefined || by.type === 'BookRestored');
        if (author?.status !== 'live' && !waits)
          this.wrong.push(`book ${id} links author ${authorId}, who is ${author?.status ?? 'unknown'}`);
      }
    for (const [stream, facts] of this.facts)
      for (const name of ['name', 'title']) {
        const { top, touched } = facts.get(name) ?? {};
        const existence = facts.get('existence')?.top?.event;
        const last = top && this.reverts.get(top.change)?.at(-1);
        if (!last || !existence || !this.isInEffect(last.correlationId)) continue;
        // What a change added is left alone as a whole if somebody else changed a part.
        if (/Added$/.test(top.event.type) || !touched || !this.isBefore(touched, last)) continue;
        const state = this.authors.get(idOf(stream)) ?? this.books.get(idOf(stream));
        if (state?.status === 'live' && this.isBefore(existence, last))
          this.wrong.push(`${name} of ${stream} is still what ${top.change} set`);
      }
  }

  private isBefore(a: FeedEvent, b: FeedEvent): boolean {
    return (this.order.get(a.id) ?? 0) < (this.order.get(b.id) ?? 0);
  }
}
