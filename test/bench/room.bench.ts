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
/** No index knows the authors without books, and almost all of them are the newest. */
const LIST = '/authors?sort=createdAt&hasBooks=false';
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
  const crowd = (path: string, accept: string, callers: number) =>
    start('test/bench/crowd.mjs', [`${service.url}${path}`, accept, String(callers)], {});
  const lists = [crowd(LIST, 'application/json', CALLERS)];
  const feeds = FEEDS.map((path) => crowd(path, 'application/x-ndjson', CALLERS / FEEDS.length));
  await measure(seconds(3));
  const busy = await measure(seconds(length));
  const answersOf = async (processes: typeof lists) => {
    for (const { process } of processes) process.kill('SIGTERM');
    for (const { ended } of processes) await ended;
    const counts = processes.map(({ output }) => JSON.parse(output()) as { answers: number; broken: number });
    const sum = (values: number[]) => values.reduce((all, value) => all + value, 0);
    return `${sum(counts.map(({ answers }) => answers))} whole and ${sum(counts.map(({ broken }) => broken))} broken`;
  };
  const got = { lists: await answersOf(lists), feeds: await answersOf(feeds) };
  service.process.kill('SIGTERM');
  await service.ended;
  const row = (what: string, beside: string, values: number[], quietly: number[]) => {
    const own = quantiles(values);
    return {
      what,
      while: beside,
      answers: values.length,
      ...own,
      'p99, ratio': round(own['p99, ms'] / quantiles(quietly)['p99, ms'], 1),
    };
  };
  const others = `${CALLERS} lists and ${CALLERS} feeds`;
  report(`room for commands and single reads beside lists and feeds, ${events} events`, [
    row('POST /authors', 'nothing else', quiet.commands, quiet.commands),
    row('POST /authors', others, busy.commands, quiet.commands),
    row('GET /authors/{id}', 'nothing else', quiet.reads, quiet.reads),
    row('GET /authors/{id}', others, busy.reads, quiet.reads),
  ]);
  console.log(
    `refused: ${quiet.refused} without the others, ${busy.refused} with them; ` +
      `lists: ${got.lists}; feeds: ${got.feeds}`,
  );
});
