import autocannon from 'autocannon';
import { sql } from '../support/database.js';
import { startService } from '../support/process.js';
import { caughtUp, median, report, round, withServer } from './support.js';

// What access control costs: answers a second under 64 connections with a token, beside the same without access control.
// Each service has a database of its own, so that both project what they write. Taken in turns.
const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const SECONDS = Number(process.env['SECONDS'] ?? 5);
const CONNECTIONS = 64;
const JSON_BODY = { 'content-type': 'application/json' };

await withServer(async (databaseUrl) => {
  const other = new URL(databaseUrl);
  other.pathname = '/colophon_open';
  await sql(databaseUrl, 'create database colophon_open');
  const guarded = await startService({ DATABASE_URL: databaseUrl, AUTH: 'tokens' });
  const open = await startService({ DATABASE_URL: other.href });
  const token = /First token +(\S+)/.exec(guarded.output())?.[1] ?? '';
  const sides = [
    { url: guarded.url, headers: { authorization: `Bearer ${token}` } },
    { url: open.url, headers: {} },
  ];

  const rows: Record<string, string | number>[] = [];
  const measure = async (
    route: string,
    request: (side: (typeof sides)[number]) => Promise<autocannon.Request>,
  ) => {
    const rates: number[][] = [[], []];
    // The first round warms up.
    for (let n = 0; n <= ROUNDS; n += 1)
      for (const [at, side] of sides.entries()) {
        const { method, path, body, headers } = await request(side);
        const result = await autocannon({
          url: `${side.url}${path}`,
          connections: CONNECTIONS,
          duration: SECONDS,
          ...(method && { method }),
          ...(body !== undefined && { body }),
          headers: { ...headers, ...side.headers },
        });
        const failed = result.requests.total - result['2xx'] + result.errors;
        if (failed > 0) throw new Error(`${failed} answers failed`);
        if (n > 0) rates[at]?.push(result.requests.average);
      }
    const [tokens = [], none = []] = rates;
    rows.push({
      route,
      'with a token, /s': round(median(tokens)),
      'without access control, /s': round(median(none)),
      ratio: round(median(tokens.map((rate, n) => rate / (none[n] ?? NaN))), 3),
    });
  };

  const post = {
    method: 'POST',
    path: '/authors',
    body: '{"name":"Jane Austen"}',
    headers: JSON_BODY,
  } as const;
  await measure('POST /authors', async () => post);
  // Otherwise the projections still work while reads are measured, one longer than the other.
  for (const { url, headers } of sides) await caughtUp(url, headers);
  await measure('GET /authors/{id}', async ({ url, headers }) => {
    const response = await fetch(`${url}/authors?limit=1`, { headers: { ...headers } });
    const { items } = (await response.json()) as { items: { id: string }[] };
    return { method: 'GET', path: `/authors/${items[0]?.id ?? ''}` };
  });
  for (const service of [guarded, open]) {
    service.process.kill('SIGTERM');
    await service.ended;
  }
  report('access', rows);
});
