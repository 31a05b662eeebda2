import autocannon from 'autocannon';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { sql } from '../support/database.js';
import { ROOT, startService, type RunningService } from '../support/process.js';
import { caughtUp, median, report, round, withServer } from './support.js';

// What telemetry costs: answers a second under 64 connections, with metrics, and with an SDK for traces that keeps spans in
// memory, beside the same with neither. Each service has a database of its own. Taken in turns, in a changing order.
const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const SECONDS = Number(process.env['SECONDS'] ?? 5);
const CONNECTIONS = 64;
const SDK = pathToFileURL(join(ROOT, 'test', 'bench', 'spans-in-memory.mjs')).href;

const SIDES = {
  neither: { METRICS: 'off' },
  metrics: { METRICS: 'on' },
  spans: { METRICS: 'off', NODE_OPTIONS: `--import=${SDK}` },
} as const;
type Side = keyof typeof SIDES;
const NAMES = Object.keys(SIDES) as Side[];

interface Request {
  readonly route: string;
  readonly of: (url: string) => Promise<autocannon.Options>;
}

const REQUESTS: readonly Request[] = [
  {
    route: 'POST /authors',
    of: async (url) => ({
      url: `${url}/authors`,
      method: 'POST',
      body: '{"name":"Jane Austen"}',
      headers: { 'content-type': 'application/json' },
    }),
  },
  {
    route: 'GET /authors/{id}',
    of: async (url) => {
      const response = await fetch(`${url}/authors?limit=1`);
      const { items } = (await response.json()) as { items: { id: string }[] };
      return { url: `${url}/authors/${items[0]?.id ?? ''}` };
    },
  },
];

await withServer(async (databaseUrl) => {
  const services: [Side, RunningService][] = [];
  for (const side of NAMES) {
    const own = new URL(databaseUrl);
    own.pathname = `/colophon_${side}`;
    await sql(databaseUrl, `create database colophon_${side}`);
    services.push([side, await startService({ ...SIDES[side], DATABASE_URL: own.href })]);
  }

  const rate = async (options: autocannon.Options): Promise<number> => {
    const { requests, errors, ...result } = await autocannon({
      ...options,
      connections: CONNECTIONS,
      duration: SECONDS,
    });
    const failed = requests.total - result['2xx'] + errors;
    if (failed > 0) throw new Error(`${failed} answers failed`);
    return requests.average;
  };

  const rows: Record<string, string | number>[] = [];
  for (const { route, of } of REQUESTS) {
    // Otherwise the projections still work while reads are measured, one longer than the other.
    for (const [, { url }] of services) await caughtUp(url);
    const rates: Record<Side, number[]> = { neither: [], metrics: [], spans: [] };
    // The first round warms up. Whoever comes first in a round finds the database as the others left it.
    for (let n = 0; n <= ROUNDS; n += 1) {
      for (const [side, { url }] of services) {
        const found = await rate(await of(url));
        if (n > 0) rates[side].push(found);
      }
      services.push(...services.splice(0, 1));
    }
    const ratio = (side: Side) =>
      round(median(rates[side].map((found, n) => found / (rates.neither[n] ?? NaN))), 3);
    rows.push({
      route,
      'neither, /s': round(median(rates.neither)),
      'metrics, /s': round(median(rates.metrics)),
      'metrics, ratio': ratio('metrics'),
      'spans, /s': round(median(rates.spans)),
      'spans, ratio': ratio('spans'),
    });
  }
  for (const [, service] of services) {
    service.process.kill('SIGTERM');
    await service.ended;
  }
  report('telemetry', rows);
});
