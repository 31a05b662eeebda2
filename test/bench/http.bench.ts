import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import autocannon from 'autocannon';
import { start, startService } from '../support/process.js';
import { sql } from '../support/database.js';
import { writeCatalogue } from './catalogue.js';
import { median, report, round, withServer } from './support.js';

// Answers per second under 64 connections, each beside its peers in the same run: see bare-fastify.mjs. Taken in turns.
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const SECONDS = Number(process.env['SECONDS'] ?? 5);
const CONNECTIONS = 64;
const [folder] = process.argv.slice(2);

interface Target {
  readonly method: 'GET' | 'POST';
  readonly paths: readonly string[];
  readonly body?: string;
  /** The ETags that the client has, one for each path: all answers are 304. */
  readonly known?: readonly string[];
}

async function rate(url: string, { method, paths, body, known }: Target): Promise<Rate> {
  const requests = paths.map((path, n) => ({
    method,
    path,
    ...(known && { headers: { 'if-none-match': known[n] } }),
    ...(body !== undefined && { body, headers: { 'content-type': 'application/json' } }),
  }));
  let clients = 0;
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: SECONDS,
    requests,
    // At any time, each connection asks for something else.
    setupClient: (client) => {
      const first = Math.floor((clients++ * requests.length) / CONNECTIONS) % requests.length;
      client.setRequests([...requests.slice(first), ...requests.slice(0, first)]);
    },
  });
  const others = result.requests.total - result[known ? '3xx' : '2xx'];
  if (others + result.errors > 0) throw new Error(`${others + result.errors} answers failed`);
  return { rate: result.requests.average, p99: result.latency.p99 };
}

interface Rate {
  readonly rate: number;
  readonly p99: number;
}

await withServer(async (databaseUrl, scratch) => {
  const file = join(scratch, 'catalogue.ndjson');
  await writeCatalogue(file, folder);
  const program = start('dist/src/cli.js', ['import', file], { DATABASE_URL: databaseUrl });
  await program.ended;
  process.stdout.write(program.output().split('\n').slice(-2).join('\n'));
  await sql(databaseUrl, 'vacuum analyze');
  const service = await startService({ DATABASE_URL: databaseUrl });
  const bare = fork(join(import.meta.dirname, 'bare-fastify.mjs'), [databaseUrl]);
  const [bareUrl] = (await once(bare, 'message')) as [string];

  const authors = await sql<{ id: string }>(
    databaseUrl,
    `select author_id as id from catalogue.author_book group by author_id having count(*) between 2 and 6
     order by author_id limit 500`,
  );
  const get = (paths: readonly string[]): Target => ({ method: 'GET', paths });
  const sizeOf = async (path: string) =>
    (await (await fetch(`${service.url}${path}`)).arrayBuffer()).byteLength;
  /** A constant of the mean size of the answers. */
  const constant = async ({ paths }: Target): Promise<Target> => {
    const sizes = await Promise.all(paths.slice(0, 100).map(sizeOf));
    return get(paths.map(() => `/${round(sizes.reduce((a, b) => a + b) / sizes.length)}`));
  };
  const rows: Record<string, string | number>[] = [];
  /** Measures a target beside its peers, and compares it with the fastest. */
  const measure = async (
    route: string,
    target: Target,
    peers: Readonly<Record<string, readonly [url: string, Target]>>,
  ) => {
    const all = { own: [service.url, target] as const, ...peers };
    const found: Record<string, Rate[]> = {};
    for (let n = 0; n <= ROUNDS; n += 1)
      for (const [name, [url, what]] of Object.entries(all)) {
        const measured = await rate(url, what);
        // The first round warms up.
        if (n > 0) (found[name] ??= []).push(measured);
      }
    const { own = [], ...others } = found;
    const best = (n: number) => Math.max(...Object.values(others).map((rates) => rates[n]?.rate ?? NaN));
    const middle = (rates: readonly Rate[]) => round(median(rates.map((one) => one.rate)));
    rows.push({
      route,
      bytes: target.known || target.body !== undefined ? 0 : round(await sizeOf(target.paths[0] ?? '')),
      'answers/s': middle(own),
      'peers/s': Object.entries(others)
        .map(([name, rates]) => `${name} ${middle(rates)}`)
        .join(', '),
      ratio: round(median(own.map((one, n) => one.rate / best(n))), 2),
      'p99, ms': median(own.map(({ p99 }) => p99)),
    });
    console.error(rows.at(-1));
  };

  const withBooks = get(authors.map(({ id }) => `/authors/${id}?include=books`));
  const one = get(withBooks.paths.slice(0, 1));
  const post: Target = { method: 'POST', paths: ['/authors'], body: '{"name":"Jane Austen"}' };
  await measure('GET /authors/{id}?include=books, one author', one, {
    constant: [bareUrl, await constant(one)],
  });
  await measure('GET /authors/{id}?include=books, 500 in turn', withBooks, {
    constant: [bareUrl, await constant(withBooks)],
  });
  await measure('POST /authors', post, { 'does nothing': [bareUrl, { ...post, paths: ['/0'] }] });

  for (const [list, key] of [
    ['books', 'title'],
    ['authors', 'name'],
  ] as const)
    for (const include of ['', `&include=${list === 'books' ? 'authors' : 'books'}`]) {
      const places = await sql<{ key: string; id: string }>(
        databaseUrl,
        `select ${key}_sort as key, id from catalogue.${list} order by random() limit 1000`,
      );
      const paths = places.map(({ key: value, id }) => {
        const after = Buffer.from(JSON.stringify([key, value, id])).toString('base64url');
        return `/${list}?limit=50&after=${after}${include}`;
      });
      const at = (way: string) => [bareUrl, get(paths.map((path) => `/${way}${path}`))] as const;
      await measure(`GET /${list}?limit=50${include}, all different`, get(paths), {
        rows: at('rows'),
        'JSON in SQL': at('text'),
        'own statement': at('own'),
      });
      const same = get([`/${list}?limit=50${include}`]);
      await measure(`GET /${list}?limit=50${include}, all the same`, same, {
        constant: [bareUrl, await constant(same)],
      });
    }

  for (const include of ['', '?include=books']) {
    const full = get(authors.map(({ id }) => `/authors/${id}${include}`));
    const known = await Promise.all(
      full.paths.map(async (path) => (await fetch(`${service.url}${path}`)).headers.get('etag') ?? ''),
    );
    await measure(
      `GET /authors/{id}${include}, 304`,
      { ...full, known },
      {
        'the full answer': [service.url, full],
      },
    );
  }
  bare.kill();
  service.process.kill('SIGTERM');
  await service.ended;
  report('http', rows);
});
