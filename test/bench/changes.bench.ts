import { createReadStream, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { start, startService, type RunningService } from '../support/process.js';
import { writeCatalogue } from './catalogue.js';
import { quantiles, report, round, seconds, steadily, withServer } from './support.js';

// A merge of an author with 5,000 books, until the last row shows the survivor, with other commands beside it; and the
// revert of an import of a whole catalogue, beside the import itself. A folder with the Gutenberg files may be given.
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const BOOKS = 5_000;
const QUIET_SECONDS = 10;
const COMMANDS_PER_SECOND = 200;
const [folder] = process.argv.slice(2);
const eventStoreDb = process.env['EVENTSTOREDB_URL'];

await withServer(async (url, scratch) => {
  const env = {
    DATABASE_URL: url,
    ...(eventStoreDb && { EVENTSTOREDB_URL: eventStoreDb, EVENTSTOREDB_PREFIX: `bench-${Date.now()}-` }),
  };
  const file = join(scratch, 'prolific.ndjson');
  const lines = [{ type: 'author', key: 'prolific', name: 'Prolific' }] as object[];
  for (let n = 0; n < BOOKS; n += 1)
    lines.push({ type: 'book', key: `${n}`, title: `Number ${n}`, authors: [{ author: 'prolific' }] });
  await writeFile(file, lines.map((line) => JSON.stringify(line)).join('\n'));
  await start('dist/src/cli.js', ['import', file], env).ended;
  const service = await startService(env);
  const client = new Client({ connectionString: url });
  await client.connect();
  report(`merge of an author with ${BOOKS} books`, await merges(service, client));
  report('revert of an import', await revert(service, client, join(scratch, 'catalogue.ndjson')));
  await client.end();
  service.process.kill('SIGTERM');
  await service.ended;
});

async function merges(service: RunningService, client: Client): Promise<Record<string, string | number>[]> {
  const rows: Record<string, string | number>[] = [];
  /** Other commands, by the clock, as long as something goes on. */
  const beside = async (goOn: () => boolean) => {
    const taken: number[] = [];
    await steadily(COMMANDS_PER_SECOND, goOn, async (n) => {
      const began = performance.now();
      await command(service, 'POST', '/authors', { name: `Other ${n}` });
      taken.push(performance.now() - began);
    });
    return quantiles(taken);
  };
  // The first seconds warm up.
  await beside(seconds(QUIET_SECONDS / 2));
  const quiet = await beside(seconds(QUIET_SECONDS));
  rows.push({ what: 'other commands, no merge', seconds: QUIET_SECONDS, ...quiet });
  const { rows: found } = await client.query<{ id: string }>(
    `select author_id as id from catalogue.author_book group by 1 order by count(*) desc limit 1`,
  );
  let from = found[0]?.id ?? '';
  for (let n = 0; n < ROUNDS; n += 1) {
    const { id: into } = await command(service, 'POST', '/authors', { name: `Survivor ${n}` });
    let running = true;
    const others = beside(() => running);
    const began = performance.now();
    await command(service, 'POST', `/authors/${from}/merge`, { into });
    await until(async () => (await booksOf(client, into)) === BOOKS);
    const took = (performance.now() - began) / 1_000;
    running = false;
    const meanwhile = await others;
    rows.push({
      what: 'merge, and other commands meanwhile',
      seconds: round(took, 2),
      ...meanwhile,
      'p99 : quiet': round(meanwhile['p99, ms'] / quiet['p99, ms'], 2),
    });
    from = into;
  }
  return rows;
}

async function revert(service: RunningService, client: Client, file: string) {
  await writeCatalogue(file, folder);
  const change = `bench import ${Date.now()}`;
  let began = performance.now();
  const answer = await fetch(`${service.url}/imports`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-ndjson',
      'content-length': `${statSync(file).size}`,
      'x-correlation-id': change,
    },
    body: createReadStream(file),
    duplex: 'half',
  });
  const lines = (await answer.text()).trim().split('\n').length;
  const count = async () =>
    (await client.query<{ count: number }>('select count(*)::integer as count from catalogue.books')).rows[0]
      ?.count ?? 0;
  await lagless(service);
  const imported = (performance.now() - began) / 1_000;
  began = performance.now();
  await command(service, 'POST', `/changes/${encodeURIComponent(change)}/revert`);
  await until(async () => (await count()) === BOOKS, 50);
  await lagless(service);
  const reverted = (performance.now() - began) / 1_000;
  return [
    { what: 'import', lines, seconds: round(imported, 1), 'lines/s': round(lines / imported) },
    {
      what: 'its revert',
      lines,
      seconds: round(reverted, 1),
      'lines/s': round(lines / reverted),
      'import : it': round(imported / reverted, 2),
    },
  ];
}

/** Waits until neither a policy nor a projection has anything left to do. */
async function lagless(service: RunningService): Promise<void> {
  await until(async () => {
    const { open } = (await (await fetch(`${service.url}/policies`)).json()) as { open: number };
    const projections = (await (await fetch(`${service.url}/projections`)).json()) as {
      items: { lag: number }[];
    };
    return open === 0 && projections.items.every(({ lag }) => lag === 0);
  }, 50);
}

async function booksOf(client: Client, author: string): Promise<number> {
  const { rows } = await client.query<{ count: number }>(
    'select count(*)::integer as count from catalogue.author_book where author_id = $1',
    [author],
  );
  return rows[0]?.count ?? 0;
}

async function command(
  { url }: RunningService,
  method: string,
  path: string,
  body?: object,
): Promise<{ id: string }> {
  const answer = await fetch(url + path, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const given = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${given}`);
  return JSON.parse(given) as { id: string };
}

async function until(condition: () => Promise<boolean>, everyMs = 10): Promise<void> {
  while (!(await condition())) await new Promise((later) => setTimeout(later, everyMs));
}
