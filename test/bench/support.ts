import { withPostgres } from '../support/postgres-server.js';

/** Figures as a table for people, and as a line of JSON for programs. */
export function report(bench: string, rows: Record<string, string | number>[]): void {
  console.table(rows);
  console.log(JSON.stringify({ bench, node: process.version, postgres: process.env['PG'], rows }));
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

export const round = (value: number, digits = 0): number => Number(value.toFixed(digits));

/** In milliseconds. */
export function quantiles(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN, 1);
  return { 'p50, ms': at(0.5), 'p99, ms': at(0.99), 'max, ms': at(1) };
}

/** Whether the time from now isn't over. */
export function seconds(count: number): () => boolean {
  const end = performance.now() + count * 1_000;
  return () => performance.now() < end;
}

/** Work with an embedded PostgreSQL of its own, or with the version that `PG` names: see {@link withPostgres}. */
export async function withServer(
  work: (databaseUrl: string, folder: string) => Promise<void>,
): Promise<void> {
  await withPostgres(process.env['PG'], work);
}

/** Calls by the clock, whether or not the calls before are done. */
export async function steadily(
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

/** Waits until the projections of a service have nothing left to do. */
export async function caughtUp(url: string, headers: Record<string, string> = {}): Promise<void> {
  for (let behind = true; behind; await new Promise((later) => setTimeout(later, 100))) {
    const answer = await fetch(`${url}/projections`, { headers });
    const { items } = (await answer.json()) as { items: { lag: number }[] };
    behind = items.some(({ lag }) => lag > 0);
  }
}
