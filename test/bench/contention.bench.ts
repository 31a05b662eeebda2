import { startService } from '../support/process.js';
import { send } from '../support/service.js';
import { median, report, round, withServer } from './support.js';

// Commands per second on one author, by 32 callers who wait for each answer: through one instance, and through two
// instances whose commands conflict. Taken in turns, each on a new author.
const ROUNDS = 5;
const SECONDS = 5;
const CALLERS = 32;

/** @param urls of the instances; callers are spread over them. */
async function rename(urls: readonly string[]): Promise<{ rate: number; refused: number; p99: number }> {
  const [first] = urls;
  const { id } = (await send(`${first}/authors`, 'POST', { body: { name: 'Jane Austen' } })).body;
  const end = performance.now() + SECONDS * 1_000;
  const times: number[] = [];
  let refused = 0;
  const caller = async (_: unknown, n: number) => {
    for (let turn = 0; performance.now() < end; turn += 1) {
      const asked = performance.now();
      const url = `${urls[n % urls.length]}/authors/${id}`;
      const { status } = await send(url, 'PATCH', { body: { name: `Name ${n} ${turn}` } });
      times.push(performance.now() - asked);
      if (status === 503) refused += 1;
      else if (status !== 200) throw new Error(`a command was answered ${status}`);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  const p99 = times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? NaN;
  return { rate: (times.length - refused) / SECONDS, refused, p99 };
}

await withServer(async (databaseUrl) => {
  const services = [
    await startService({ DATABASE_URL: databaseUrl }),
    await startService({ DATABASE_URL: databaseUrl }),
  ];
  const urls = services.map(({ url }) => url);
  await rename(urls);
  const rounds = [];
  for (let n = 0; n < ROUNDS; n += 1)
    rounds.push({ one: await rename(urls.slice(0, 1)), two: await rename(urls) });
  report('contention', [
    {
      'one instance, commands/s': round(median(rounds.map(({ one }) => one.rate))),
      'two instances, commands/s': round(median(rounds.map(({ two }) => two.rate))),
      ratio: round(median(rounds.map(({ one, two }) => two.rate / one.rate)), 2),
      'one: p99, ms': round(median(rounds.map(({ one }) => one.p99))),
      'two: p99, ms': round(median(rounds.map(({ two }) => two.p99))),
      'two: refused': rounds.reduce((sum, { two }) => sum + two.refused, 0),
    },
  ]);
  for (const { process: running, ended } of services) {
    running.kill('SIGTERM');
    await ended;
  }
});
