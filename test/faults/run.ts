import { setTimeout } from 'node:timers/promises';
import { check, settled } from '../checker/check.js';
import { Callers, ORDINARY } from '../checker/callers.js';
import { Feed } from '../checker/feed.js';
import { FAULTS, type Fault } from './faults.js';
import { World } from './world.js';

// `npm run faults -- COMMANDS NAME…`: each fault under 64 callers, until they have the outcome of so many commands. Then
// everything is compared with a fold of the audit feed that shares no code with the service. Rows whose name contains one
// of the names; all by default.
const [given = '60000', ...names] = process.argv.slice(2);
const COMMANDS = Number(given);
const CALLERS = 64;
/** Authors and books that callers change. */
const REMEMBERED = 4_000;
/** The service may do nothing for so long, in a row. */
const STANDSTILL_MS = 180_000;

interface Row {
  readonly fault: string;
  readonly strikes: number;
  readonly commands: number;
  readonly refused: number;
  readonly repeated: number;
  readonly events: number;
  readonly seconds: number;
  readonly wrong: number;
}

const rows: Row[] = [];
for (const fault of FAULTS) {
  if (names.length > 0 && !names.some((name) => fault.name.includes(name))) continue;
  if (fault.missing === undefined) rows.push(await suffer(fault));
  else console.log(`${fault.name}: not run, because ${fault.missing}`);
}
// As a table of Markdown, for the documentation.
const columns = [
  'fault',
  'strikes',
  'commands',
  'refused',
  'repeated',
  'events',
  'seconds',
  'wrong',
] as const;
const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
console.log(line(columns));
console.log(line(columns.map(() => '---')));
for (const row of rows)
  console.log(
    line(columns.map((name) => (typeof row[name] === 'number' ? row[name].toLocaleString('en') : row[name]))),
  );
const sum = (what: 'commands' | 'strikes' | 'wrong') => rows.reduce((total, row) => total + row[what], 0);
console.log(
  JSON.stringify({
    check: 'faults',
    callers: CALLERS,
    commands: sum('commands'),
    strikes: sum('strikes'),
    rows,
  }),
);
if (sum('wrong') > 0) process.exitCode = 1;

/** The events of the first streams that something is wrong with, and of the changes that these events undo. */
function historyOf(wrong: readonly string[], { byRevision }: Feed): string[] {
  const streams = new Set(wrong.flatMap((line) => /\b(author|book)-[0-9a-f-]{36}\b/.exec(line)?.[0] ?? []));
  const first = new Set([...streams].slice(0, 3));
  const all = [...byRevision.values()];
  const changes = new Set(
    all.flatMap(({ stream, reverts }) => (first.has(stream) && reverts ? [reverts] : [])),
  );
  for (const { type, data, correlationId } of all)
    if (type === 'ChangeReverted' && changes.has(correlationId)) changes.add(String(data['change']));
  return all
    .filter(
      ({ stream, type, correlationId, data }) =>
        first.has(stream) ||
        (type === 'ChangeReverted' && (changes.has(correlationId) || changes.has(String(data['change'])))),
    )
    .slice(0, 400)
    .map(({ data, ...event }) => JSON.stringify({ ...event, data }));
}

async function suffer({
  name,
  setting,
  strike,
  restMs = 3_000,
  share = 1,
  mix,
  atWorkMs,
}: Fault): Promise<Row> {
  const began = Date.now();
  const most = COMMANDS * share;
  const world = await World.create(setting);
  const callers = mix
    ? new Callers(() => world.urls, mix)
    : new Callers(() => world.urls, ORDINARY, REMEMBERED);
  const { counts } = callers;
  let strikes = 0;
  let working = true;
  const striking = (async () => {
    while (strike && working) {
      await setTimeout(restMs + Math.random() * restMs);
      if (!working) return;
      await strike(world);
      strikes += 1;
    }
  })();
  let done = 0;
  let since = Date.now();
  const watch = setInterval(() => {
    if (counts.commands > done) [done, since] = [counts.commands, Date.now()];
    if (Date.now() - since < STANDSTILL_MS) return;
    console.log(
      `${name}: nothing was done for ${STANDSTILL_MS / 1_000} s; ${done} commands, ${strikes} strikes`,
    );
    for (const { output } of world.services) console.log(output.slice(-2_000));
    process.exit(1);
  }, 1_000);
  await callers.run(CALLERS, () => counts.commands < most);
  working = false;
  await striking;
  clearInterval(watch);
  await world.mend();
  const [url = ''] = world.urls;
  await settled(url);
  const { feed, wrong } = await check(url, world.postgres.url, callers, new Feed(atWorkMs));
  const verified = await world.command(['verify']);
  if (verified.code !== 0) wrong.push(`verify ends with ${verified.code}: ${verified.output}`);
  for (const { output } of world.services) if (/unheard/.test(output)) wrong.push(output);
  wrong.push(...callers.wrong, ...world.wrong);
  for (const line of wrong.slice(0, 50)) console.log(`${name}: ${line}`);
  for (const line of historyOf(wrong, feed)) console.log(line);
  await world.close();
  const row = {
    fault: name,
    strikes: strikes + world.ended,
    commands: counts.commands,
    refused: counts.refused,
    repeated: counts.repeated,
    events: feed.events,
    seconds: Math.round((Date.now() - began) / 1_000),
    wrong: wrong.length,
  };
  console.log(JSON.stringify(row));
  return row;
}
