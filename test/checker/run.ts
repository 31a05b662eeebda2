import { randomInt } from 'node:crypto';
import { Client } from 'pg';
import { startService, type RunningService } from '../support/process.js';
import { withPostgres } from '../support/postgres-server.js';
import { check, settled } from './check.js';
import { Callers } from './callers.js';

// `npm run check:changes -- MINUTES CALLERS`: callers add, rename, link, remove, merge and revert at random, while two
// services and the database are killed. Then everything is compared with a fold of the audit feed that shares no code with
// the service. One minute and 64 callers by default; hours find more.
const [minutes = 1, callers = 64] = process.argv.slice(2).map(Number);
const KILL_EVERY_MS = 5_000;
const PORTS = [0, 0];

await withPostgres(process.env['PG'], async (databaseUrl) => {
  const esdb = process.env['EVENTSTOREDB_URL'];
  const env = (n: number) => ({
    DATABASE_URL: databaseUrl,
    PORT: String(PORTS[n]),
    ...(esdb && { EVENTSTOREDB_URL: esdb, EVENTSTOREDB_PREFIX: `checker${process.pid}-` }),
  });
  const services: RunningService[] = [];
  for (const n of PORTS.keys()) {
    services[n] = await startService(env(n));
    PORTS[n] = Number(new URL(services[n].url).port);
  }
  const urls = services.map(({ url }) => url);
  const began = Date.now();
  const goOn = () => Date.now() < began + minutes * 60_000;
  const work = new Callers(() => urls);
  const kills = { service: 0, database: 0 };
  const killing = (async () => {
    while (goOn()) {
      await pause(Math.min(KILL_EVERY_MS, began + minutes * 60_000 - Date.now()));
      if (!goOn()) break;
      if (randomInt(4) === 0) {
        await killDatabase(databaseUrl);
        kills.database += 1;
      } else {
        const n = randomInt(services.length);
        services[n]?.process.kill('SIGKILL');
        await services[n]?.ended;
        services[n] = await again(() => startService(env(n)));
        kills.service += 1;
      }
    }
  })();
  await Promise.all([work.run(callers, goOn), killing]);
  const [url = ''] = urls;
  await settled(url);
  const { feed, wrong } = await check(url, databaseUrl, work);
  for (const line of [...work.wrong, ...wrong].slice(0, 100)) console.log(line);
  for (const service of services) {
    service.process.kill('SIGTERM');
    await service.ended;
  }
  console.table({ ...work.counts.byKind });
  const { commands, refused, repeated } = work.counts;
  const found = work.wrong.length + wrong.length;
  console.log(
    JSON.stringify({
      check: 'changes',
      minutes,
      callers,
      commands,
      refused,
      repeated,
      kills,
      events: feed.events,
      found,
    }),
  );
  if (found > 0) process.exitCode = 1;
});

/** Kills one process of the server: the server then ends all others, and recovers. */
async function killDatabase(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    if (rows[0]) process.kill(rows[0].pid, 'SIGKILL');
  } catch {
    // Not up yet from the last time.
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function again<T>(work: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await work();
    } catch {
      await pause(500);
    }
}

function pause(ms: number): Promise<void> {
  return new Promise((later) => setTimeout(later, Math.max(0, ms)));
}
