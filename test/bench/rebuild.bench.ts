import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { migrate } from '../../src/postgres/migrate.js';
import { sql } from '../support/database.js';
import { start, startService } from '../support/process.js';
import { writeLog } from './log.js';
import { median, quantiles, report, round, seconds, withServer } from './support.js';
import { prepareTables, TABLE_STATES, type Tables } from './tables.js';

// `colophon rebuild` of logs of several sizes, onto tables that are right, empty, or different in every row. Beside it what
// it can't be faster than, and a plain program, each in a process of its own, in turns. Then the same beside a service:
// how long readers and the projection wait. Sizes as arguments: 100000 1000000 by default. Above two million events the
// plain program's Maps outgrow its process, so it is left out.
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const MAPS_HOLD = 2_000_000;
const QUIET_SECONDS = 10;
const READS_PER_SECOND = 200;
const COMMANDS_PER_SECOND = 20;
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100_000, 1_000_000];

interface Outcome {
  readonly ms: number;
  readonly megabytes: number;
}

const script = join(import.meta.dirname, 'rebuild-contenders.ts');
async function run(contender: string, url: string, folder: string): Promise<Outcome> {
  const loader = ['--import', '@swc-node/register/esm-register'];
  const { stdout } = await promisify(execFile)(process.execPath, [...loader, script, contender, url, folder]);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Outcome;
}

const WORDS: Record<Tables, string> = {
  right: 'colophon rebuild, tables are right',
  empty: 'colophon rebuild, tables are empty',
  different: 'colophon rebuild, every row is different',
};
const CONTENDERS: [string, string][] = [
  ...TABLE_STATES.map((tables): [string, string] => [tables, WORDS[tables]]),
  ['copyOutAndParse', '(a) COPY out, JSON.parse'],
  ['copyRowsIn', '(b) COPY rows in, keys and indexes'],
  ['plain', '(c) plain pg: COPY out, Maps, COPY in, keys and indexes'],
  ['plainKeysOnly', '(c) with primary and foreign keys alone'],
];

const took = new Map<number, number>();
for (const events of sizes)
  await withServer(async (url, scratch) => {
    await migrate(url);
    await writeLog(url, events);
    const folder = join(scratch, 'rows');
    mkdirSync(folder);
    await run('empty', url, folder);
    const contenders = CONTENDERS.filter(([name]) => events <= MAPS_HOLD || !name.startsWith('plain'));
    const outcomes = new Map(contenders.map(([name]): [string, Outcome[]] => [name, []]));
    for (let n = 0; n < ROUNDS; n += 1)
      for (const [name] of contenders) outcomes.get(name)?.push(await run(name, url, folder));
    const of = (name: string) => median(outcomes.get(name)?.map(({ ms }) => ms) ?? []);
    took.set(events, of('right') / 1_000);
    report(
      `rebuild of ${events} events`,
      contenders.map(([name, what]) => ({
        what,
        seconds: round(of(name) / 1_000, 2),
        'events/s': round((events * 1_000) / of(name)),
        'peak MB': Math.max(...(outcomes.get(name)?.map(({ megabytes }) => megabytes) ?? [])),
        'plain : it': round(of('plain') / of(name), 2),
      })),
    );
    rmSync(folder, { recursive: true });
    report(`beside a service, ${events} events`, await besideService(url));
  });

const growth = sizes.slice(1).map((events, n) => {
  const before = sizes[n] ?? NaN;
  const times = (took.get(events) ?? NaN) / (took.get(before) ?? NaN);
  return { from: before, to: events, 'events grow ×': events / before, 'time grows ×': round(times, 2) };
});
if (growth.length > 0) report('growth', growth);

/** How long readers and the projection wait, without a rebuild and during each kind. */
async function besideService(url: string): Promise<Record<string, string | number>[]> {
  const service = await startService({ DATABASE_URL: url });
  const client = new Client({ connectionString: url });
  await client.connect();
  const authors = await sql<{ id: string }>(url, 'select id from catalogue.authors limit 1000');
  const rows: Record<string, string | number>[] = [];
  const measure = async (what: string, goOn: () => boolean) => {
    const reads: number[] = [];
    const lags: number[] = [];
    const positions: { position: bigint; since: number }[] = [];
    const reading = steadily(READS_PER_SECOND, goOn, async (n) => {
      const began = performance.now();
      const answer = await fetch(`${service.url}/authors/${authors[n % authors.length]?.id}?include=books`);
      await answer.text();
      reads.push(performance.now() - began);
    });
    const writing = steadily(COMMANDS_PER_SECOND, goOn, async (n) => {
      const answer = await fetch(`${service.url}/authors`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: `Author ${n}` }),
      });
      const { position } = (await answer.json()) as { position?: string };
      if (position)
        positions.push({ position: BigInt(position.split('.')[0] ?? 0), since: performance.now() });
    });
    const ended = Promise.all([reading, writing]).then(() => true);
    for (let over = false; !over || positions.length > 0;) {
      const at = await client.query<{ position: string }>('select position from catalogue.checkpoint');
      const reached = BigInt(at.rows[0]?.position ?? 0);
      while (positions[0] && positions[0].position <= reached)
        lags.push(performance.now() - (positions.shift()?.since ?? 0));
      over = await Promise.race([ended, new Promise<false>((later) => setTimeout(() => later(false), 2))]);
    }
    const { 'p99, ms': p99, 'max, ms': longest } = quantiles(reads);
    rows.push({
      what,
      'read p99, ms': p99,
      'longest read, ms': longest,
      'longest lag of the projection, ms': round(Math.max(...lags)),
    });
  };
  // The first calls of a service compile its code, and connect.
  await measure('warm-up', seconds(QUIET_SECONDS));
  rows.length = 0;
  await measure('no rebuild', seconds(QUIET_SECONDS));
  for (const tables of TABLE_STATES) {
    await prepareTables(client, tables);
    let running = true;
    const rebuild = start('dist/src/cli.js', ['rebuild'], { DATABASE_URL: url });
    const ended = rebuild.ended.then((code) => {
      running = false;
      if (code !== 0) throw new Error(rebuild.output());
    });
    await measure(WORDS[tables], () => running);
    await ended;
  }
  await client.end();
  service.process.kill('SIGTERM');
  await service.ended;
  return rows;
}

/** Calls by the clock, whether or not the calls before are done. */
async function steadily(
  perSecond: number,
  goOn: () => boolean,
  one: (n: number) => Promise<void>,
): Promise<void> {
  const started = performance.now();
  const calls: Promise<void>[] = [];
  for (let n = 0; goOn(); n += 1) {
    const wait = started + (n * 1_000) / perSecond - performance.now();
    if (wait > 0) await new Promise((later) => setTimeout(later, wait));
    calls.push(one(n));
  }
  await Promise.all(calls);
}
