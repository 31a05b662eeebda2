import { setTimeout } from 'node:timers/promises';
import { migrate } from '../../src/postgres/migrate.js';
import { sql } from '../support/database.js';
import { start, startService } from '../support/process.js';
import { writeLog } from './log.js';
import { quantiles, report, round, seconds, withServer } from './support.js';

// What a caller waits for a command and a single author, while others ask for the most expensive list there is and read
// the whole log, as fast as they get answers; beside the same without the others. Calls are made by the clock.
// Arguments: the number of events, and the seconds of each part.
const [events = 500_000, length = 20] = process.argv.slice(2).map(Number);
const CALLERS = 60;
const COMMANDS_PER_SECOND = 50;
const READS_PER_SECOND = 100;
/** No index serves the order and the text together, and no row ends the search. */
const LIST = '/books?sort=createdAt&prefix=zzqq';
const FEEDS = ['/audit/events', '/audit/events?types=Nothing'];

type Latencies = { readonly commands: number[]; readonly reads: number[]; refused: number };

/** Calls by the clock until told to stop. Doesn't spin: the service needs the processor. */
async function steadily(perSecond: number, one: (n: number) => Promise<void>, goOn: () => boolean) {
  const calls: Promise<void>[] = [];
  const began = performance.now();
  for (let n = 0; goOn(); n += 1) {
    calls.push(one(n));
    await setTimeout(Math.max(0, began + ((n + 1) * 1_000) / perSecond - performance.now()));
  }
  await Promise.all(calls);
}

/** Asks until told to stop; comes back after a 503 when the answer says so. */
async function insist(url: string, accept: string, goOn: () => boolean, seen: { answers: number }) {
  const stop = new AbortController();
  const watch = setInterval(() => goOn() || stop.abort(), 50);
  try {
    while (goOn()) {
      const answer = await fetch(url, { headers: { accept }, signal: stop.signal });
      for await (const _ of answer.body ?? []);
      if (answer.status === 503) await setTimeout(1_000, undefined, { signal: stop.signal });
      else seen.answers += 1;
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    clearInterval(watch);
  }
}

await withServer(async (databaseUrl) => {
  await migrate(databaseUrl);
  await writeLog(databaseUrl, events);
  const env = { DATABASE_URL: databaseUrl };
  await start('dist/src/cli.js', ['rebuild'], env).ended;
  const service = await startService(env);
  const authors = await sql<{ id: string }>(databaseUrl, 'select id from catalogue.authors limit 1000');
  const measure = async (goOn: () => boolean): Promise<Latencies> => {
    const latencies: Latencies = { commands: [], reads: [], refused: 0 };
    const timed = async (into: number[], path: string, init?: RequestInit) => {
      const began = performance.now();
      const answer = await fetch(`${service.url}${path}`, init);
      await answer.arrayBuffer();
      if (answer.ok) into.push(performance.now() - began);
      else latencies.refused += 1;
    };
    const headers = { 'content-type': 'application/json' };
    await Promise.all([
      steadily(
        COMMANDS_PER_SECOND,
        (n) =>
          timed(latencies.commands, '/authors', { method: 'POST', headers, body: `{"name":"New ${n}"}` }),
        goOn,
      ),
      steadily(
        READS_PER_SECOND,
        (n) => timed(latencies.reads, `/authors/${authors[n % authors.length]?.id}`),
        goOn,
      ),
    ]);
    return latencies;
  };
  await measure(seconds(3));
  const quiet = await measure(seconds(length));
  const lists = { answers: 0 };
  const feeds = { answers: 0 };
  const during = seconds(length);
  const others = Array.from({ length: CALLERS }, (_, n) => [
    insist(`${service.url}${LIST}`, 'application/json', during, lists),
    insist(`${service.url}${FEEDS[n % FEEDS.length]}`, 'application/x-ndjson', during, feeds),
  ]).flat();
  const busy = await measure(during);
  await Promise.all(others);
  service.process.kill('SIGTERM');
  await service.ended;
  const row = (what: string, others: string, values: number[], beside: number[]) => {
    const own = quantiles(values);
    return {
      what,
      while: others,
      answers: values.length,
      ...own,
      'p99, ratio': round(own['p99, ms'] / quantiles(beside)['p99, ms'], 1),
    };
  };
  const crowd = `${CALLERS} lists and ${CALLERS} feeds`;
  report(`room for commands and single reads beside lists and feeds, ${events} events`, [
    row('POST /authors', 'nothing else', quiet.commands, quiet.commands),
    row('POST /authors', crowd, busy.commands, quiet.commands),
    row('GET /authors/{id}', 'nothing else', quiet.reads, quiet.reads),
    row('GET /authors/{id}', crowd, busy.reads, quiet.reads),
  ]);
  console.log(
    `refused: ${quiet.refused} without the others, ${busy.refused} with them; ` +
      `the others got ${lists.answers} lists and ${feeds.answers} whole feeds`,
  );
});
