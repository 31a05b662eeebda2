// Callers that ask for a path until the process is ended, and come back after a 503 when the answer says so. A process
// of their own: what they read must not delay the clock of the benchmark. Arguments: the URL, the `Accept` header, and
// the number of callers. Prints how many whole answers
// and how many broken ones they got.
import { setTimeout } from 'node:timers/promises';

const [url, accept, callers] = process.argv.slice(2);
let answers = 0;
let broken = 0;
process.on('SIGTERM', () => {
  process.stdout.write(JSON.stringify({ answers, broken }));
  process.exit();
});
await Promise.all(
  Array.from({ length: Number(callers) }, async () => {
    for (;;) {
      try {
        const answer = await globalThis.fetch(url, { headers: { accept } });
        await answer.body?.pipeTo(new globalThis.WritableStream());
        if (answer.ok) answers += 1;
        else await setTimeout(1_000 * Number(answer.headers.get('retry-after')));
      } catch {
        broken += 1;
      }
    }
  }),
);
