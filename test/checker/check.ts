import { Client } from 'pg';
import { ask, type Answer } from './ask.js';
import type { Callers } from './callers.js';
import { Feed, type FeedEvent } from './feed.js';

/** Waits until projections and policies have nothing left to do. */
export async function settled(url: string): Promise<void> {
  for (;;) {
    const [projections, policies] = (await Promise.all(
      ['/projections', '/policies'].map((path) => json(url, path)),
    )) as [{ items: { lag: number }[] }, { open: number; lag: number }];
    if (policies.open + policies.lag === 0 && projections.items.every(({ lag }) => lag === 0)) return;
    await new Promise((later) => setTimeout(later, 100));
  }
}

async function json(url: string, path: string): Promise<unknown> {
  for (;;) {
    const answer = await ask(url + path, 'GET').catch(() => undefined);
    if (answer?.status === 200) return JSON.parse(answer.body);
    await new Promise((later) => setTimeout(later, 200));
  }
}

/** Folds the whole feed. */
export async function readFeed(url: string, feed = new Feed()): Promise<Feed> {
  const answer = await fetch(`${url}/audit/events`, { headers: { accept: 'application/x-ndjson' } });
  if (!answer.body) throw new Error(`the feed answers ${answer.status}`);
  let rest = '';
  for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) feed.take(JSON.parse(line) as FeedEvent);
  }
  return feed;
}

/**
 * Compares the feed with what callers were told, with the answers of the service, and with the tables.
 * @param feed an empty one.
 */
export async function check(
  url: string,
  databaseUrl: string,
  callers: Callers,
  feed = new Feed(),
): Promise<{ feed: Feed; wrong: string[] }> {
  await readFeed(url, feed);
  feed.checkEnd();
  const wrong = [...feed.wrong, ...compareCallers(callers, feed)];
  wrong.push(...(await compareTables(databaseUrl, feed)), ...(await compareAnswers(url, feed)));
  return { feed, wrong };
}

/** Everything acknowledged is in the log, and nothing else is. */
export function compareCallers(
  { acknowledged, changes }: Pick<Callers, 'acknowledged' | 'changes'>,
  { byRevision }: Feed,
): string[] {
  const wrong = acknowledged.flatMap(({ stream, revision, what }) =>
    byRevision.has(`${stream} ${revision}`)
      ? []
      : [`${what} of ${stream} was acknowledged at revision ${revision}, and is not in the log`],
  );
  for (const { stream, type, position, correlationId } of byRevision.values()) {
    if (stream.startsWith('operations-') || changes.get(correlationId)) continue;
    const told = changes.has(correlationId) ? 'refused' : 'never asked for';
    wrong.push(`${position} ${type} of ${stream} is of a command that was ${told}`);
  }
  return wrong;
}

async function compareTables(databaseUrl: string, { authors, books }: Feed): Promise<string[]> {
  const live = [...authors].filter(([, { status }]) => status === 'live');
  const links = [...books].flatMap(([book, { status, links: list }]) =>
    status === 'live'
      ? list.map((link, index) => ({
          waits: authors.get(link.authorId)?.status !== 'live',
          line: [link.authorId, book, index + 1, [...link.roles].sort().join(), link.creditedAs ?? ''].join(
            '|',
          ),
        }))
      : [],
  );
  const link = `concat_ws('|', author_id, book_id, position, array_to_string(array(select unnest(roles) order by 1), ','), coalesce(credited_as, ''))`;
  const survivor = (id: string) => survivorIn(authors, id);
  const expected: Record<string, [string, string[]]> = {
    authors: [
      `select concat_ws('|', id, name, revision) as line from catalogue.authors`,
      live.map(([id, { name, revision }]) => [id, name, revision].join('|')),
    ],
    books: [
      `select concat_ws('|', id, title, revision) as line from catalogue.books`,
      [...books].flatMap(([id, { status, title, revision }]) =>
        status === 'live' ? [[id, title, revision].join('|')] : [],
      ),
    ],
    author_book: [
      `select ${link} as line from catalogue.author_book`,
      links.flatMap(({ waits, line }) => (waits ? [] : [line])),
    ],
    waiting_links: [
      `select ${link} as line from catalogue.waiting_links`,
      links.flatMap(({ waits, line }) => (waits ? [line] : [])),
    ],
    author_redirects: [
      `select concat_ws('|', author_id, into_id, survivor_id) as line from catalogue.author_redirects`,
      [...authors].flatMap(([id, { into }]) => (into ? [[id, into, survivor(id)].join('|')] : [])),
    ],
  };
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  const wrong: string[] = [];
  for (const [table, [query, lines]] of Object.entries(expected)) {
    const found = new Set((await client.query<{ line: string }>(query)).rows.map(({ line }) => line));
    const wanted = new Set(lines);
    for (const line of wanted) if (!found.has(line)) wrong.push(`${table} has no ${line}`);
    for (const line of found)
      if (!wanted.has(line)) wrong.push(`${table} has ${line}, which the feed doesn't say`);
  }
  await client.end();
  return wrong;
}

function survivorIn(authors: Feed['authors'], id: string): string {
  let last = id;
  const seen = new Set<string>();
  for (
    let into = authors.get(last)?.into;
    into !== undefined && !seen.has(into);
    into = authors.get(last)?.into
  ) {
    seen.add(into);
    last = into;
  }
  return last;
}

/** Every id ever given resolves, in one hop, to a live author, or is said to be removed. */
async function compareAnswers(url: string, { authors }: Feed): Promise<string[]> {
  const wrong: string[] = [];
  const ids = [...authors.keys()];
  const ask = async () => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
      const { status, location = '' } = await get(`${url}/authors/${id}`);
      const state = authors.get(id)?.status;
      const expected = { live: 200, removed: 410, merged: 301 }[state ?? 'removed'];
      if (status !== expected) wrong.push(`author ${id} is ${state}, and GET answers ${status}`);
      if (status !== 301) continue;
      const survivor = survivorIn(authors, id);
      const next = await get(new URL(location, url).href);
      if (!location.endsWith(survivor) || ![200, 410].includes(next.status))
        wrong.push(`author ${id} leads to ${location} (${next.status}) instead of ${survivor}`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, ask));
  return wrong;
}

async function get(url: string): Promise<Answer> {
  for (;;) {
    const answer = await ask(url, 'GET').catch(() => undefined);
    if (answer && answer.status !== 503) return answer;
    await new Promise((later) => setTimeout(later, 200));
  }
}
