import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { Client } from 'pg';
import { changes } from '../../projections/changes/changes.projection.js';
import { migrate } from '../../src/postgres/migrate.js';
import { sql } from '../support/database.js';
import { start, startService } from '../support/process.js';
import { writeCatalogue } from './catalogue.js';
import { writeLog } from './log.js';
import { median, quantiles, report, round, seconds, withServer } from './support.js';

// What people wait for: an answer while the tables are being rebuilt, beside the same without; and a command's row to be
// visible, at a steady rate of commands, with one projection and with two. Calls are made by the clock, whether or not
// those before are done. Then an import, with one projection and with two.
// PARTS names the parts to run, such as `lag,import`. With EVENTSTOREDB_URL, the events of these two go there.
const PARTS = (process.env['PARTS'] ?? 'rebuild,lag,import').split(',');
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const EVENTS = 500_000;
const READS_PER_SECOND = 500;
const COMMANDS_PER_SECOND = 1_000;
const SECONDS = 15;
const eventStoreDb = process.env['EVENTSTOREDB_URL'];

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const call = (url: string, body?: string) =>
  new Promise<string>((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request(
      url,
      { agent, method: body === undefined ? 'GET' : 'POST', headers },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () =>
          (answer.statusCode ?? 500) < 300
            ? resolve(text)
            : reject(new Error(`${answer.statusCode}: ${text}`)),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });

/** Calls by the clock until told to stop. */
async function steadily(
  perSecond: number,
  one: (n: number) => Promise<void>,
  goOn: () => boolean,
): Promise<void> {
  const started = performance.now();
  const calls: Promise<void>[] = [];
  for (let n = 0; goOn(); n += 1) {
    const due = started + (n * 1_000) / perSecond;
    while (performance.now() < due) await new Promise(setImmediate);
    calls.push(one(n));
  }
  await Promise.all(calls);
}

const readsDuringRebuild = () =>
  withServer(async (databaseUrl) => {
    await migrate(databaseUrl);
    await writeLog(databaseUrl, EVENTS);
    const env = { DATABASE_URL: databaseUrl };
    await start('dist/src/cli.js', ['rebuild', 'catalogue'], env).ended;
    const service = await startService(env);
    const authors = await sql<{ id: string }>(
      databaseUrl,
      'select author_id as id from catalogue.author_book group by author_id having count(*) between 2 and 9 limit 1000',
    );
    const read = async (goOn: () => boolean) => {
      const latencies: number[] = [];
      await steadily(
        READS_PER_SECOND,
        async (n) => {
          const began = performance.now();
          await call(`${service.url}/authors/${authors[n % authors.length]?.id}?include=books`);
          latencies.push(performance.now() - began);
        },
        goOn,
      );
      return latencies;
    };
    await read(seconds(3));
    const quiet = await read(seconds(SECONDS));
    const busy: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      let rebuilding = true;
      const rebuild = start('dist/src/cli.js', ['rebuild', 'catalogue'], env);
      const ended = rebuild.ended.then((code) => {
        rebuilding = false;
        if (code !== 0) throw new Error(rebuild.output());
      });
      busy.push(...(await read(() => rebuilding)));
      await ended;
    }
    service.process.kill('SIGTERM');
    await service.ended;
    report(`GET /authors/{id}?include=books, ${READS_PER_SECOND}/s, tables of ${EVENTS} events`, [
      { while: 'nothing else', answers: quiet.length, ...quantiles(quiet) },
      { while: 'colophon rebuild, three times', answers: busy.length, ...quantiles(busy) },
    ]);
  });

/**
 * Keeps the second projection from working: its leader's lock is taken. So a service has one projection or two, without a
 * setting that only a benchmark needs.
 */
async function withProjections<T>(url: string, which: Projections, work: () => Promise<T>): Promise<T> {
  if (which === 'both') return work();
  const holder = new Client({ connectionString: url });
  await holder.connect();
  await holder.query('select pg_advisory_lock(hashtextextended($1, $2))', [
    `colophon projector catalogue_${changes.name}`,
    changes.version,
  ]);
  try {
    return await work();
  } finally {
    await holder.end();
  }
}

const newStore = () =>
  eventStoreDb ? { EVENTSTOREDB_URL: eventStoreDb, EVENTSTOREDB_PREFIX: `bench-${Date.now()}-` } : undefined;

type Projections = 'catalogue' | 'both';
const LAGS = { catalogue: ['catalogue'], both: ['catalogue', 'catalogue_changes'] };

/** From a command to its answer, and from the answer to the rows of each projection. */
async function steadyCommands(databaseUrl: string, which: Projections) {
  const service = await startService({ DATABASE_URL: databaseUrl, ...newStore() });
  const watcher = new Client({ connectionString: databaseUrl });
  await watcher.connect();
  const schemas = LAGS[which];
  const waiting = schemas.map(() => [] as { position: bigint; since: number }[]);
  const lags = schemas.map(() => [] as number[]);
  let done = false;
  const text = `select ${schemas.map((schema) => `(select position from ${schema}.checkpoint) as ${schema}`).join()}`;
  const watch = async () => {
    while (!done || waiting.some((list) => list.length > 0)) {
      const { rows } = await watcher.query<Record<string, string | null>>({ name: 'watch', text });
      const now = performance.now();
      for (const [index, schema] of schemas.entries()) {
        const reached = BigInt(rows[0]?.[schema] ?? 0);
        const list = waiting[index] ?? [];
        for (let n = list.length - 1; n >= 0; n -= 1) {
          const one = list[n];
          if (!one || one.position > reached) continue;
          list.splice(n, 1);
          if (one.since > warm) lags[index]?.push(Math.max(0, now - one.since));
        }
      }
      await new Promise((later) => setTimeout(later, 1));
    }
  };
  const began = performance.now();
  const warm = began + 2_000;
  const latencies: number[] = [];
  const watching = watch();
  await steadily(
    COMMANDS_PER_SECOND,
    async (n) => {
      const sent = performance.now();
      const { position } = JSON.parse(await call(`${service.url}/authors`, `{"name":"Author ${n}"}`)) as {
        position: string;
      };
      const since = performance.now();
      if (since > warm) latencies.push(since - sent);
      for (const list of waiting) list.push({ position: BigInt(position.split('.')[0] ?? 0), since });
    },
    () => performance.now() < began + SECONDS * 1_000,
  );
  done = true;
  await watching;
  await watcher.end();
  service.process.kill('SIGTERM');
  await service.ended;
  return [
    { projections: which, what: 'command to answer', commands: latencies.length, ...quantiles(latencies) },
    ...schemas.map((schema, index) => ({
      projections: which,
      what: `answer to row in ${schema}`,
      commands: lags[index]?.length ?? 0,
      ...quantiles(lags[index] ?? []),
    })),
  ];
}

/** An import of a made-up catalogue, to the last row of the catalogue; and how far the second projection is by then. */
async function importing(databaseUrl: string, file: string, which: Projections) {
  const env = { DATABASE_URL: databaseUrl, ...newStore() };
  return withProjections(databaseUrl, which, async () => {
    const began = performance.now();
    const program = start('dist/src/cli.js', ['import', file], env);
    if ((await program.ended) !== 0) throw new Error(program.output());
    const seconds = (performance.now() - began) / 1_000;
    const [rows] = await sql<{ events: number; listed: number }>(
      databaseUrl,
      `select (select sum(revision + 1)::integer from (select revision from catalogue.authors
               union all select revision from catalogue.books) one) as events,
              (select count(*)::integer from catalogue_changes.events) as listed`,
    );
    return { seconds, events: rows?.events ?? 0, listed: rows?.listed ?? 0 };
  });
}

async function lag(): Promise<void> {
  const rows: Record<string, string | number>[] = [];
  for (const which of ['catalogue', 'both'] as const)
    await withServer(async (databaseUrl) => {
      rows.push(...(await withProjections(databaseUrl, which, () => steadyCommands(databaseUrl, which))));
    });
  report(`POST /authors at ${COMMANDS_PER_SECOND}/s${eventStoreDb ? ', on EventStoreDB' : ''}`, rows);
}

/** In turns, each on a server of its own. */
async function importsInTurns(): Promise<void> {
  const ratios: number[] = [];
  const rows: Record<string, string | number>[] = [];
  for (let turn = 0; turn < ROUNDS; turn += 1) {
    const seconds = new Map<Projections, number>();
    const order = ['catalogue', 'both'] as const;
    for (const which of turn % 2 === 0 ? order : order.toReversed())
      await withServer(async (databaseUrl, folder) => {
        const file = join(folder, 'catalogue.ndjson');
        await writeCatalogue(file, undefined);
        const one = await importing(databaseUrl, file, which);
        seconds.set(which, one.seconds);
        rows.push({
          projections: which,
          events: one.events,
          seconds: round(one.seconds, 1),
          'events/s': round(one.events / one.seconds),
          ...(which === 'both' && { 'not in changes yet': one.events - one.listed }),
        });
      });
    ratios.push((seconds.get('catalogue') ?? NaN) / (seconds.get('both') ?? NaN));
  }
  report(`import with two projections beside one${eventStoreDb ? ', on EventStoreDB' : ''}`, [
    ...rows,
    { projections: 'ratio of the rates', 'events/s': round(median(ratios), 2) },
  ]);
}

if (PARTS.includes('rebuild')) await readsDuringRebuild();
if (PARTS.includes('lag')) await lag();
if (PARTS.includes('import')) await importsInTurns();
agent.destroy();
