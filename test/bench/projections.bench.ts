import { Agent, request } from 'node:http';
import { Client } from 'pg';
import { migrate } from '../../src/postgres/migrate.js';
import { sql } from '../support/database.js';
import { start, startService } from '../support/process.js';
import { writeLog } from './log.js';
import { quantiles, report, seconds, withServer } from './support.js';

// What people wait for: an answer while the tables are being rebuilt, beside the same without; and a command's row to be
// visible, at a steady rate of commands. Calls are made by the clock, whether or not those before are done.
// With EVENTSTOREDB_URL, the events of the second part go there.
const EVENTS = 500_000;
const READS_PER_SECOND = 500;
const COMMANDS_PER_SECOND = 1_000;
const SECONDS = 15;
const eventStoreDb = process.env['EVENTSTOREDB_URL'];

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const call = (url: string, body?: string) =>
  new Promise<string>((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request(
      url,
      { agent, method: body === undefined ? 'GET' : 'POST', headers },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () =>
          (answer.statusCode ?? 500) < 300
            ? resolve(text)
            : reject(new Error(`${answer.statusCode}: ${text}`)),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });

/** Calls by the clock until told to stop. */
async function steadily(
  perSecond: number,
  one: (n: number) => Promise<void>,
  goOn: () => boolean,
): Promise<void> {
  const started = performance.now();
  const calls: Promise<void>[] = [];
  for (let n = 0; goOn(); n += 1) {
    const due = started + (n * 1_000) / perSecond;
    while (performance.now() < due) await new Promise(setImmediate);
    calls.push(one(n));
  }
  await Promise.all(calls);
}

await withServer(async (databaseUrl) => {
  await migrate(databaseUrl);
  await writeLog(databaseUrl, EVENTS);
  const env = { DATABASE_URL: databaseUrl };
  await start('dist/src/cli.js', ['rebuild'], env).ended;
  const service = await startService(env);
  const authors = await sql<{ id: string }>(
    databaseUrl,
    'select author_id as id from catalogue.author_book group by author_id having count(*) between 2 and 9 limit 1000',
  );
  const read = async (goOn: () => boolean) => {
    const latencies: number[] = [];
    await steadily(
      READS_PER_SECOND,
      async (n) => {
        const began = performance.now();
        await call(`${service.url}/authors/${authors[n % authors.length]?.id}?include=books`);
        latencies.push(performance.now() - began);
      },
      goOn,
    );
    return latencies;
  };
  await read(seconds(3));
  const quiet = await read(seconds(SECONDS));
  const busy: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    let rebuilding = true;
    const rebuild = start('dist/src/cli.js', ['rebuild'], env);
    const ended = rebuild.ended.then((code) => {
      rebuilding = false;
      if (code !== 0) throw new Error(rebuild.output());
    });
    busy.push(...(await read(() => rebuilding)));
    await ended;
  }
  service.process.kill('SIGTERM');
  await service.ended;
  report(`GET /authors/{id}?include=books, ${READS_PER_SECOND}/s, tables of ${EVENTS} events`, [
    { while: 'nothing else', answers: quiet.length, ...quantiles(quiet) },
    { while: 'colophon rebuild, three times', answers: busy.length, ...quantiles(busy) },
  ]);
});

await withServer(async (databaseUrl) => {
  const store = eventStoreDb
    ? { EVENTSTOREDB_URL: eventStoreDb, EVENTSTOREDB_PREFIX: `bench-${Date.now()}-` }
    : undefined;
  const service = await startService({ DATABASE_URL: databaseUrl, ...store });
  const watcher = new Client({ connectionString: databaseUrl });
  await watcher.connect();
  const waiting: { position: bigint; since: number }[] = [];
  const lags: number[] = [];
  let done = false;
  const watch = async () => {
    while (!done || waiting.length > 0) {
      const { rows } = await watcher.query<{ position: string | null }>({
        name: 'watch',
        text: 'select position from catalogue.checkpoint',
      });
      const now = performance.now();
      const reached = BigInt(rows[0]?.position ?? 0);
      for (let n = waiting.length - 1; n >= 0; n -= 1) {
        const one = waiting[n];
        if (!one || one.position > reached) continue;
        waiting.splice(n, 1);
        if (one.since > warm) lags.push(Math.max(0, now - one.since));
      }
      await new Promise((later) => setTimeout(later, 1));
    }
  };
  const began = performance.now();
  const warm = began + 2_000;
  const latencies: number[] = [];
  const watching = watch();
  await steadily(
    COMMANDS_PER_SECOND,
    async (n) => {
      const sent = performance.now();
      const { position } = JSON.parse(await call(`${service.url}/authors`, `{"name":"Author ${n}"}`)) as {
        position: string;
      };
      const since = performance.now();
      if (since > warm) latencies.push(since - sent);
      waiting.push({ position: BigInt(position.split('.')[0] ?? 0), since });
    },
    () => performance.now() < began + SECONDS * 1_000,
  );
  done = true;
  await watching;
  await watcher.end();
  service.process.kill('SIGTERM');
  await service.ended;
  report(`POST /authors at ${COMMANDS_PER_SECOND}/s${store ? ', on EventStoreDB' : ''}`, [
    { what: 'command to answer', commands: latencies.length, ...quantiles(latencies) },
    { what: 'answer to visible row', commands: lags.length, ...quantiles(lags) },
  ]);
});
agent.destroy();
