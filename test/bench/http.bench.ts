import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import autocannon from 'autocannon';
import { start, startService } from '../support/process.js';
import { sql } from '../support/database.js';
import { writeCatalogue } from './catalogue.js';
import { median, report, round, withServer } from './support.js';

// Answers per second under 64 connections, each beside a bare Fastify route that returns a constant of the same size,
// or that takes the same body and does nothing. Taken in turns.
const ROUNDS = 3;
const SECONDS = 5;
const CONNECTIONS = 64;
const [folder] = process.argv.slice(2);

interface Target {
  readonly method: 'GET' | 'POST';
  readonly paths: readonly string[];
  readonly body?: string;
}

async function rate(url: string, { method, paths, body }: Target): Promise<{ rate: number; p99: number }> {
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: SECONDS,
    requests: paths.map((path) => ({
      method,
      path,
      ...(body !== undefined && { body, headers: { 'content-type': 'application/json' } }),
    })),
  });
  if (result.non2xx + result.errors > 0) throw new Error(`${result.non2xx + result.errors} answers failed`);
  return { rate: result.requests.average, p99: result.latency.p99 };
}

await withServer(async (databaseUrl, scratch) => {
  const file = join(scratch, 'catalogue.ndjson');
  await writeCatalogue(file, folder);
  const program = start('dist/src/cli.js', ['import', file], { DATABASE_URL: databaseUrl });
  await program.ended;
  process.stdout.write(program.output().split('\n').slice(-2).join('\n'));
  await sql(databaseUrl, 'vacuum analyze');
  const service = await startService({ DATABASE_URL: databaseUrl });
  const bare = fork(join(import.meta.dirname, 'bare-fastify.mjs'));
  const [bareUrl] = (await once(bare, 'message')) as [string];

  const authors = await sql<{ id: string }>(
    databaseUrl,
    `select author_id as id from catalogue.author_book group by author_id having count(*) between 2 and 6
     order by author_id limit 500`,
  );
  const withBooks = authors.map(({ id }) => `/authors/${id}?include=books`);
  const targets: [string, Target][] = [
    ['GET /authors/{id}?include=books, one author', { method: 'GET', paths: withBooks.slice(0, 1) }],
    ['GET /authors/{id}?include=books, 500 in turn', { method: 'GET', paths: withBooks }],
    ['GET /books?limit=50', { method: 'GET', paths: ['/books?limit=50'] }],
    ['POST /authors', { method: 'POST', paths: ['/authors'], body: '{"name":"Jane Austen"}' }],
  ];
  const rows = [];
  for (const [name, target] of targets) {
    const sizes = await Promise.all(
      target.paths.slice(0, target.method === 'GET' ? 100 : 0).map(async (path) => {
        const response = await fetch(`${service.url}${path}`);
        return (await response.arrayBuffer()).byteLength;
      }),
    );
    const size = sizes.length > 0 ? Math.round(sizes.reduce((a, b) => a + b) / sizes.length) : 0;
    const peer: Target = { ...target, paths: target.paths.map(() => `/${size}`) };
    await rate(service.url, target);
    await rate(bareUrl, peer);
    const rounds = [];
    for (let n = 0; n < ROUNDS; n += 1)
      rounds.push({ own: await rate(service.url, target), bare: await rate(bareUrl, peer) });
    rows.push({
      route: name,
      bytes: size,
      'answers/s': round(median(rounds.map(({ own }) => own.rate))),
      'bare Fastify/s': round(median(rounds.map(({ bare }) => bare.rate))),
      ratio: round(median(rounds.map(({ own, bare }) => own.rate / bare.rate)), 2),
      'p99, ms': median(rounds.map(({ own }) => own.p99)),
    });
  }
  bare.kill();
  service.process.kill('SIGTERM');
  await service.ended;
  report('http', rows);
});
