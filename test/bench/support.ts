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
