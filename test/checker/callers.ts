import { randomInt, randomUUID } from 'node:crypto';
import { ask } from './ask.js';

/** A command that was acknowledged. */
export interface Acknowledged {
  readonly stream: string;
  readonly revision: string;
  readonly key: string;
  readonly what: string;
}

export interface Counts {
  commands: number;
  refused: number;
  repeated: number;
  readonly byKind: Record<string, number>;
}

const ROLES = ['author', 'editor', 'translator', 'illustrator', 'narrator'];
const MODES = ['refuse', 'unlink', 'remove-sole-authored', 'remove-all'];

type Kind =
  | 'add author'
  | 'add book'
  | 'rename'
  | 'retitle'
  | 'link'
  | 'unlink'
  | 'reorder'
  | 'remove author'
  | 'restore author'
  | 'remove book'
  | 'restore book'
  | 'merge'
  | 'revert'
  | 'import';

/** How often callers do what, as weights. */
export type Mix = Readonly<Record<Kind, number>>;

/** Much of what concerns many streams, and what takes it back. */
export const CHANGES: Mix = {
  'add author': 10,
  'add book': 10,
  rename: 8,
  retitle: 6,
  link: 20,
  unlink: 6,
  reorder: 4,
  'remove author': 9,
  'restore author': 3,
  'remove book': 2,
  'restore book': 4,
  merge: 8,
  revert: 8,
  import: 2,
};

/** Everything, as often as a busy catalogue would see it. */
export const ORDINARY: Mix = {
  'add author': 200,
  'add book': 250,
  rename: 150,
  retitle: 120,
  link: 200,
  unlink: 30,
  reorder: 10,
  'remove author': 8,
  'restore author': 8,
  'remove book': 8,
  'restore book': 8,
  merge: 4,
  revert: 3,
  import: 1,
};

/** Ids that callers remember: few enough to meet others' work often. */
const FEW = 400;

/** Callers who change the same few authors and books all the time, and insist on an answer. */
export class Callers {
  readonly acknowledged: Acknowledged[] = [];
  /** Whether each change was acknowledged. The others were refused for good: nothing of them may be in the log. */
  readonly changes = new Map<string, boolean>();
  readonly authors = new Set<string>();
  readonly counts: Counts = { commands: 0, refused: 0, repeated: 0, byKind: {} };
  /** Answers that no caller should ever get. */
  readonly wrong: string[] = [];
  private readonly recentAuthors: string[] = [];
  private readonly recentBooks: string[] = [];
  private readonly recentChanges: string[] = [];
  private readonly kinds: readonly Kind[];

  /**
   * @param urls of the services; each request goes to any of them.
   * @param remembered how many authors, books and changes callers remember.
   */
  constructor(
    private readonly urls: () => readonly string[],
    mix: Mix = CHANGES,
    private readonly remembered = FEW,
  ) {
    this.kinds = Object.entries(mix).flatMap(([kind, weight]) => Array<Kind>(weight).fill(kind as Kind));
  }

  async run(callers: number, goOn: () => boolean): Promise<void> {
    const call = async (n: number) => {
      while (goOn()) await this.act(`caller ${n}`);
    };
    await Promise.all(Array.from({ length: callers }, (_, n) => call(n)));
  }

  private async act(actor: string): Promise<void> {
    const author = any(this.recentAuthors);
    const book = any(this.recentBooks);
    const kind = author === undefined ? 'add author' : book === undefined ? 'add book' : any(this.kinds);
    const command = (method: string, path: string, body?: object, what: string = kind) =>
      this.command(actor, method, path, body, what);
    switch (kind) {
      case 'add author':
        return command('POST', '/authors', { name: text('Author') });
      case 'add book':
        return command('POST', '/books', {
          title: text('Book'),
          authors: sample(this.recentAuthors, randomInt(4)).map((authorId) => ({ authorId, roles: roles() })),
        });
      case 'rename':
        return command('PATCH', `/authors/${author}`, { name: text('Author') });
      case 'retitle':
        return command('PATCH', `/books/${book}`, { title: text('Book') });
      case 'link':
        return command('PUT', `/books/${book}/authors/${author}`, {
          roles: roles(),
          creditedAs: randomInt(3) ? null : text('Credit'),
          ...(randomInt(2) && { position: 1 }),
        });
      case 'unlink':
        return command('DELETE', `/books/${book}/authors/${author}`);
      case 'reorder':
        return this.reorder(actor, book ?? '');
      case 'remove author': {
        const mode = any(MODES);
        return command('DELETE', `/authors/${author}?books=${mode}`, undefined, `${kind}, ${mode}`);
      }
      case 'restore author':
        return command('POST', `/authors/${author}/restore`);
      case 'remove book':
        return command('DELETE', `/books/${book}`);
      case 'restore book':
        return command('POST', `/books/${book}/restore`);
      case 'merge':
        return command('POST', `/authors/${author}/merge`, { into: any(this.recentAuthors) });
      case 'revert':
        return command('POST', `/changes/${any(this.recentChanges)}/revert`);
      case 'import':
        return this.import(actor);
    }
  }

  private async reorder(actor: string, book: string): Promise<void> {
    const url = `${any(this.urls())}/books/${book}?include=authors`;
    const shown = await ask(url, 'GET').catch(() => undefined);
    if (shown?.status !== 200) return;
    const { authors } = JSON.parse(shown.body) as { authors: { id: string }[] };
    if (authors.length < 2) return;
    const authorIds = authors.map(({ id }) => id).reverse();
    await this.command(actor, 'PUT', `/books/${book}/authors`, { authorIds }, 'reorder');
  }

  private async import(actor: string): Promise<void> {
    const source = randomInt(20);
    const lines = [
      { type: 'author', key: `a${source}`, name: text('Imported') },
      ...Array.from({ length: 4 }, (_, n) => ({
        type: 'book',
        key: `b${source}-${n}`,
        title: text('Imported'),
        authors: [{ author: `a${source}`, roles: roles() }],
      })),
    ];
    const body = lines.map((line) => JSON.stringify(line)).join('\n');
    const change = randomUUID();
    const headers = { 'content-type': 'application/x-ndjson', 'x-actor': actor, 'x-correlation-id': change };
    await this.insist(async () => {
      const answer = await ask(`${any(this.urls())}/imports`, 'POST', headers, body);
      // An import is repeated as a whole until every line has its result.
      const complete = answer.body.trim().split('\n').length >= lines.length;
      return answer.status === 200 && complete ? answer : undefined;
    });
    this.counted('import');
    this.changes.set(change, true);
    this.remember(this.recentChanges, change);
  }

  /** Sends a command under a key until its outcome is known. */
  private async command(
    actor: string,
    method: string,
    path: string,
    body: object | undefined,
    kind: string,
  ): Promise<void> {
    const key = randomUUID();
    const change = randomUUID();
    const headers = {
      'idempotency-key': key,
      'x-correlation-id': change,
      'x-actor': actor,
      ...(body && { 'content-type': 'application/json' }),
      ...(randomInt(10) === 0 && { prefer: 'wait=1' }),
    };
    const text = body && JSON.stringify(body);
    const answer = await this.insist(async () => {
      const given = await ask(`${any(this.urls())}${path}`, method, headers, text);
      return given.status === 503 || given.status === 429 ? undefined : given;
    });
    this.counted(kind);
    if (answer.status >= 500) this.wrong.push(`${method} ${path}: ${answer.status} ${answer.body}`);
    const acknowledged = answer.status < 300;
    this.changes.set(change, acknowledged);
    if (!acknowledged) {
      this.counts.refused += 1;
      return;
    }
    this.remember(this.recentChanges, change);
    const { id, revision } = JSON.parse(answer.body) as { id: string; revision: string };
    const [, room] = path.split(/[/?]/);
    const category = room === 'changes' ? 'change' : room === 'books' ? 'book' : 'author';
    this.acknowledged.push({ stream: `${category}-${id}`, revision, key, what: kind });
    if (kind === 'add author') {
      this.authors.add(id);
      this.remember(this.recentAuthors, id);
    } else if (kind === 'add book') this.remember(this.recentBooks, id);
  }

  /** Asks again until there is an answer. */
  private async insist<T>(attempt: () => Promise<T | undefined>): Promise<T> {
    for (;;) {
      const answer = await attempt().catch(() => undefined);
      if (answer !== undefined) return answer;
      this.counts.repeated += 1;
      await pause();
    }
  }

  private remember(list: string[], id: string): void {
    if (list.length < this.remembered) list.push(id);
    else list[randomInt(this.remembered)] = id;
  }

  private counted(kind: string): void {
    this.counts.commands += 1;
    this.counts.byKind[kind] = (this.counts.byKind[kind] ?? 0) + 1;
  }
}

function any<T>(list: readonly [T, ...T[]]): T;
function any<T>(list: readonly T[]): T;
function any<T>(list: readonly T[]): T | undefined {
  return list[randomInt(Math.max(1, list.length))];
}

const sample = (list: readonly string[], count: number) => [
  ...new Set(Array.from({ length: count }, () => any(list))),
];
const text = (kind: string) => `${kind} ${randomUUID().slice(0, 8)}`;
const roles = () => sample(ROLES, 1 + randomInt(2));
const pause = () => new Promise((later) => setTimeout(later, 50 + randomInt(100)));
