import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { migrate } from '../../src/postgres/migrate.js';
import { writeLog } from './log.js';
import { median, report, round, withServer } from './support.js';

// `colophon rebuild` of logs of several sizes, beside what it can't be faster than and beside a plain program, each in a
// process of its own, in turns. Sizes as arguments: 100000 1000000 by default. Above two million events the plain program's
// Maps outgrow its process, so it is left out.
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const MAPS_HOLD = 2_000_000;
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

const CONTENDERS: [string, string][] = [
  ['colophon', 'colophon rebuild'],
  ['copyOutAndParse', '(a) COPY out, JSON.parse'],
  ['copyRowsIn', '(b) COPY rows in, keys and indexes'],
  ['plain', '(c) plain pg: COPY out, Maps, COPY in, keys and indexes'],
  ['plainKeysOnly', '(c) with primary and foreign keys alone'],
];

const seconds = new Map<number, number>();
for (const events of sizes)
  await withServer(async (url, scratch) => {
    await migrate(url);
    await writeLog(url, events);
    const folder = join(scratch, 'rows');
    mkdirSync(folder);
    const contenders = CONTENDERS.filter(([name]) => events <= MAPS_HOLD || !name.startsWith('plain'));
    const outcomes = new Map(contenders.map(([name]): [string, Outcome[]] => [name, []]));
    for (let n = 0; n < ROUNDS; n += 1)
      for (const [name] of contenders) outcomes.get(name)?.push(await run(name, url, folder));
    const of = (name: string) => median(outcomes.get(name)?.map(({ ms }) => ms) ?? []);
    seconds.set(events, of('colophon') / 1_000);
    report(
      `rebuild of ${events} events`,
      contenders.map(([name, what]) => ({
        what,
        seconds: round(of(name) / 1_000, 2),
        'events/s': round((events * 1_000) / of(name)),
        'peak MB': Math.max(...(outcomes.get(name)?.map(({ megabytes }) => megabytes) ?? [])),
        'colophon : it': round(of(name) / of('colophon'), 2),
      })),
    );
    rmSync(folder, { recursive: true });
  });

const growth = sizes.slice(1).map((events, n) => {
  const before = sizes[n] ?? NaN;
  const times = (seconds.get(events) ?? NaN) / (seconds.get(before) ?? NaN);
  return { from: before, to: events, 'events grow ×': events / before, 'time grows ×': round(times, 2) };
});
if (growth.length > 0) report('growth', growth);
