import { randomInt, randomUUID } from 'node:crypto';

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
/** Ids remembered: enough to meet others' work, few enough to meet it often. */
const REMEMBERED = 400;
const TIMEOUT_MS = 30_000;

/** Callers who change the same few authors and books all the time, and insist on an answer. */
export class Callers {
  readonly acknowledged: Acknowledged[] = [];
  readonly authors = new Set<string>();
  readonly counts: Counts = { commands: 0, refused: 0, repeated: 0, byKind: {} };
  /** Answers that no caller should ever get. */
  readonly wrong: string[] = [];
  private readonly recentAuthors: string[] = [];
  private readonly recentBooks: string[] = [];
  private readonly recentChanges: string[] = [];

  /** @param urls of the services; each request goes to any of them. */
  constructor(private readonly urls: () => readonly string[]) {}

  async run(callers: number, goOn: () => boolean): Promise<void> {
    const call = async (n: number) => {
      while (goOn()) await this.act(`caller ${n}`);
    };
    await Promise.all(Array.from({ length: callers }, (_, n) => call(n)));
  }

  private async act(actor: string): Promise<void> {
    const author = any(this.recentAuthors);
    const book = any(this.recentBooks);
    const dice = randomInt(100);
    if (author === undefined || dice < 10)
      await this.command(actor, 'POST', '/authors', { name: text('Author') }, 'add author');
    else if (book === undefined || dice < 20)
      await this.command(
        actor,
        'POST',
        '/books',
        {
          title: text('Book'),
          authors: sample(this.recentAuthors, randomInt(4)).map((authorId) => ({ authorId, roles: roles() })),
        },
        'add book',
      );
    else if (dice < 28)
      await this.command(actor, 'PATCH', `/authors/${author}`, { name: text('Author') }, 'rename');
    else if (dice < 34)
      await this.command(actor, 'PATCH', `/books/${book}`, { title: text('Book') }, 'retitle');
    else if (dice < 54)
      await this.command(
        actor,
        'PUT',
        `/books/${book}/authors/${author}`,
        {
          roles: roles(),
          creditedAs: randomInt(3) ? null : text('Credit'),
          ...(randomInt(2) && { position: 1 }),
        },
        'link',
      );
    else if (dice < 60)
      await this.command(actor, 'DELETE', `/books/${book}/authors/${author}`, undefined, 'unlink');
    else if (dice < 64) await this.reorder(actor, book);
    else if (dice < 73) {
      const mode = any(['refuse', 'unlink', 'remove-sole-authored', 'remove-all']);
      await this.command(
        actor,
        'DELETE',
        `/authors/${author}?books=${mode}`,
        undefined,
        `remove author, ${mode}`,
      );
    } else if (dice < 76)
      await this.command(actor, 'POST', `/authors/${author}/restore`, undefined, 'restore author');
    else if (dice < 78) await this.command(actor, 'DELETE', `/books/${book}`, undefined, 'remove book');
    else if (dice < 82)
      await this.command(actor, 'POST', `/books/${book}/restore`, undefined, 'restore book');
    else if (dice < 90)
      await this.command(
        actor,
        'POST',
        `/authors/${author}/merge`,
        { into: any(this.recentAuthors) },
        'merge',
      );
    else if (dice < 98) {
      const change = any(this.recentChanges);
      if (change) await this.command(actor, 'POST', `/changes/${change}/revert`, undefined, 'revert');
    } else await this.import(actor);
  }

  private async reorder(actor: string, book: string): Promise<void> {
    const shown = await this.ask('GET', `/books/${book}?include=authors`, {}).catch(() => undefined);
    const authors = (shown?.body?.['authors'] ?? []) as { id: string }[];
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
    const change = randomUUID();
    const headers = { 'content-type': 'application/x-ndjson', 'x-actor': actor, 'x-correlation-id': change };
    for (;;)
      try {
        const url = `${any(this.urls())}/imports`;
        const body = lines.map((line) => JSON.stringify(line)).join('\n');
        const answer = await fetch(url, {
          method: 'POST',
          headers,
          body,
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        const results = (await answer.text()).trim().split('\n');
        // An import is repeated as a whole until every line has its result.
        if (answer.status === 200 && results.length >= lines.length) break;
        throw new Error(`${answer.status}`);
      } catch {
        this.counts.repeated += 1;
        await pause();
      }
    this.counted('import');
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
    for (;;) {
      let answer: Answer;
      try {
        answer = await this.ask(method, path, headers, body);
      } catch {
        this.counts.repeated += 1;
        await pause();
        continue;
      }
      if (answer.status === 503 || answer.status === 429) {
        this.counts.repeated += 1;
        await pause();
        continue;
      }
      this.counted(kind);
      if (answer.status >= 500)
        this.wrong.push(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      if (answer.status >= 300) {
        this.counts.refused += 1;
        return;
      }
      this.remember(this.recentChanges, change);
      return this.acknowledge(answer.body, path, key, kind);
    }
  }

  private acknowledge(body: Record<string, any>, path: string, key: string, what: string): void {
    const [, room] = path.split(/[/?]/);
    const id = body['id'] as string;
    const category = room === 'changes' ? 'change' : room === 'books' ? 'book' : 'author';
    this.acknowledged.push({ stream: `${category}-${id}`, revision: body['revision'], key, what });
    if (what === 'add author') {
      this.authors.add(id);
      this.remember(this.recentAuthors, id);
    } else if (what === 'add book') this.remember(this.recentBooks, id);
  }

  private async ask(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: object,
  ): Promise<Answer> {
    const answer = await fetch(`${any(this.urls())}${path}`, {
      method,
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body && { body: JSON.stringify(body) }),
    });
    const given = await answer.text();
    return { status: answer.status, body: given === '' ? {} : (JSON.parse(given) as Record<string, any>) };
  }

  private counted(kind: string): void {
    this.counts.commands += 1;
    this.counts.byKind[kind] = (this.counts.byKind[kind] ?? 0) + 1;
  }

  private remember(list: string[], id: string): void {
    if (list.length < REMEMBERED) list.push(id);
    else list[randomInt(REMEMBERED)] = id;
  }
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, any>;
}

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
