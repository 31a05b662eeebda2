import type { TestService } from './service.js';

/** Imports lines, and waits until the tables show them. @returns ids by key. */
export async function importLines(
  service: Pick<TestService, 'request'>,
  lines: object[],
): Promise<Record<string, string>> {
  const { text, status } = await service.request('POST', '/imports', {
    raw: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    headers: { 'content-type': 'application/x-ndjson' },
  });
  const results = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect({ status, failed: results.filter((result) => result.status === 'failed') }).toEqual({
    status: 200,
    failed: [],
  });
  await caughtUp(service);
  return Object.fromEntries(results.map(({ key, id }) => [key, id]));
}

/** Waits until the tables hold everything the log holds now. */
export async function caughtUp(service: Pick<TestService, 'request'>): Promise<void> {
  let shown = await service.request('GET', '/projections');
  // A server that was just killed may answer with one more 503: its connections are noticed one by one.
  for (; shown.status !== 200; shown = await service.request('GET', '/projections'))
    expect(shown.status).toBe(503);
  const { head } = shown.body.items[0];
  if (head === null) return;
  const headers = { 'min-position': head };
  for (;;) {
    const { status } = await service.request('GET', '/authors?limit=1', { headers });
    if (status === 200) return;
    expect(status).toBe(503);
  }
}
