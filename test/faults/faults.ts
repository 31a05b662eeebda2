import { randomInt } from 'node:crypto';
import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { CHANGES, type Mix } from '../checker/callers.js';
import { FAKED_CLOCK, type Setting, type World } from './world.js';

/** One row of the matrix. */
export interface Fault {
  readonly name: string;
  readonly setting: Setting;
  /** Strikes once, and mends what it broke. Undefined: nothing strikes. */
  readonly strike?: (world: World) => Promise<void>;
  /** Rest between two strikes, in milliseconds. */
  readonly restMs?: number;
  /** What callers do. Default: what is ordinary. */
  readonly mix?: Mix;
  /** The part of a row's commands, if the fault leaves little time to work. */
  readonly share?: number;
  /** How long a policy may be frozen; Infinity if the clock says nothing. */
  readonly atWorkMs?: number;
  /** Why the row can't run on this machine. */
  readonly missing?: string | undefined;
}

const isRoot = process.getuid?.() === 0;
const eventStoreDb = process.env['EVENTSTOREDB_COMMAND'];
const ON_EVENTSTOREDB: Pick<Fault, 'setting' | 'missing' | 'share'> = {
  share: 1 / 3,
  setting: { ...(eventStoreDb && { eventStoreDb }) },
  missing: eventStoreDb ? undefined : 'EVENTSTOREDB_COMMAND is not set',
};
/** Removals, merges and reverts of the same few authors concern many streams, and take long. */
const MANY_STREAMS: Pick<Fault, 'mix' | 'share'> = { mix: CHANGES, share: 1 / 8 };
const FROZEN_MS = 60_000;
const hour = 3_600;

/** The faults that the service must stand, each under load. */
export const FAULTS: readonly Fault[] = [
  { name: 'none', setting: {} },
  { name: 'service killed', setting: {}, strike: killService },
  { name: 'projector killed', setting: {}, strike: (world) => killLeader(world, 'projections') },
  { name: 'policies killed', setting: {}, strike: (world) => killLeader(world, 'policies') },
  { name: 'rebuild killed', setting: {}, strike: killRebuild },
  { name: 'PostgreSQL killed', setting: {}, strike: killDatabase },
  { name: 'network cut', setting: { network: true }, strike: cut },
  { name: 'network slow', setting: { network: true }, strike: slow },
  { name: 'network half open', setting: { network: true }, strike: halfOpen, atWorkMs: FROZEN_MS },
  {
    name: 'disk full',
    setting: { diskMegabytes: 1_024 },
    strike: fillDisk,
    missing: isRoot ? undefined : 'only root can mount a small disk',
  },
  { name: 'memory limit', setting: { heapMegabytes: 64 }, share: 1 / 3 },
  {
    name: 'clock set back and forth',
    setting: { clock: true },
    strike: setClock,
    atWorkMs: Infinity,
    missing: existsSync(FAKED_CLOCK) ? undefined : `${FAKED_CLOCK} is not there`,
  },
  { name: 'two projectors', setting: {}, strike: freezeLeader, restMs: 5_000, atWorkMs: FROZEN_MS },
  { name: 'connections exhausted by others', setting: {}, strike: exhaust },
  { name: 'PostgreSQL fails over', setting: { standby: true }, strike: failOver, atWorkMs: FROZEN_MS },
  {
    ...MANY_STREAMS,
    name: 'merges and reverts',
    setting: {},
    strike: async (world) => any([killDatabase, killService])(world),
  },
  { ...ON_EVENTSTOREDB, name: 'EventStoreDB: none' },
  {
    ...ON_EVENTSTOREDB,
    name: 'EventStoreDB: service killed',
    strike: killService,
  },
  { ...ON_EVENTSTOREDB, name: 'EventStoreDB killed', strike: killStore, restMs: 10_000 },
  {
    ...ON_EVENTSTOREDB,
    name: 'EventStoreDB: network',
    setting: { ...ON_EVENTSTOREDB.setting, network: true },
    strike: async (world) => any([cut, slow, halfOpen])(world),
    atWorkMs: FROZEN_MS,
  },
  {
    ...ON_EVENTSTOREDB,
    ...MANY_STREAMS,
    name: 'EventStoreDB: merges and reverts',
    strike: async (world) => any([killStore, killDatabase, killService])(world),
    restMs: 10_000,
  },
];

async function killService({ services }: World): Promise<void> {
  await any(services).kill();
}

async function killLeader(world: World, what: 'projections' | 'policies'): Promise<void> {
  await (await world.leader(what))?.kill();
}

/** A rebuild that is killed at any moment. */
async function killRebuild(world: World): Promise<void> {
  const projection = any(['catalogue', 'changes']);
  await world.command(
    ['rebuild', projection, '--reason', 'the matrix of faults'],
    setTimeout(400 + randomInt(4_000)),
  );
}

/** The whole server, or one of its processes, which makes the server recover. */
async function killDatabase({ postgres }: World): Promise<void> {
  if (randomInt(2)) {
    await postgres.kill();
    await setTimeout(randomInt(2_000));
    await postgres.start();
    return;
  }
  const found = await postgres
    .query<{ pid: number }>(
      `select pid from pg_stat_activity where client_port is not null order by random() limit 1`,
    )
    .catch(() => []);
  try {
    for (const { pid } of found) process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

async function cut({ networks }: World): Promise<void> {
  const network = any(networks);
  if (randomInt(2)) network.down();
  else for (let n = 0; n < 20; n += 1, await setTimeout(50)) network.cut();
  await setTimeout(randomInt(2_000));
  network.pass();
}

async function slow({ networks }: World): Promise<void> {
  const network = any(networks);
  if (randomInt(2)) network.delay(50 + randomInt(250));
  else network.throttle(20_000 + randomInt(200_000));
  await setTimeout(2_000 + randomInt(4_000));
  network.pass();
}

/** What was asked arrives, and no answer comes; or nothing comes at all. Then the connection breaks, or goes on. */
async function halfOpen({ networks }: World): Promise<void> {
  const network = any(networks);
  const lost = randomInt(2) === 1;
  if (lost) network.swallow();
  else network.freeze();
  await setTimeout(1_000 + randomInt(9_000));
  network.pass();
  if (lost || randomInt(2)) network.cut();
}

async function fillDisk({ disk, postgres }: World): Promise<void> {
  const ballast = join(disk, 'ballast');
  const { bavail, bsize } = statfsSync(disk);
  try {
    for (let left = Number(bavail) * bsize, chunk = 1_048_576; left > 0; left -= chunk)
      writeFileSync(ballast, Buffer.alloc(Math.min(chunk, left)), { flag: 'a' });
  } catch {
    // Full.
  }
  await setTimeout(2_000 + randomInt(4_000));
  rmSync(ballast, { force: true });
  if (!postgres.isRunning) await postgres.start();
}

async function setClock(world: World): Promise<void> {
  world.setClock(any([-hour, hour, -1, 2, 24 * hour, -24 * hour, 365 * 24 * hour, 0]));
}

/** The leader is frozen until another process leads, and wakes up. */
async function freezeLeader(world: World): Promise<void> {
  const leader = await world.leader(any(['projections', 'policies']));
  if (!leader) return;
  leader.freeze();
  await setTimeout(15_000 + randomInt(5_000));
  leader.wake();
}

/** Others take every connection that there is, the services' own first. */
async function exhaust({ postgres }: World): Promise<void> {
  const taken: Client[] = [];
  await postgres
    .query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'colophon%'`)
    .catch(() => undefined);
  const until = Date.now() + 3_000 + randomInt(3_000);
  while (Date.now() < until)
    await postgres.connect().then(
      (client) => taken.push(client),
      () => setTimeout(20),
    );
  await Promise.all(taken.map((client) => client.end().catch(() => undefined)));
}

/**
 * The standby is away for a while, and no commit can be acknowledged. Or the first server is gone, with its disk: its
 * standby takes over, and gets a standby of its own.
 */
async function failOver(world: World): Promise<void> {
  const { postgres, standby, database } = world;
  if (!standby || !database) return;
  if (randomInt(3) === 0) {
    await standby.kill();
    await setTimeout(randomInt(8_000));
    return standby.start();
  }
  await postgres.kill();
  database.down();
  await standby.promote();
  database.leadTo({ host: '127.0.0.1', port: standby.port });
  database.pass();
  world.postgres = standby;
  world.standby = undefined;
  world.standby = await standby.standby(postgres.folder, postgres.port);
}

async function killStore({ store }: World): Promise<void> {
  await store?.kill();
  await setTimeout(randomInt(2_000));
  await store?.start();
}

function any<T>(list: readonly T[]): T {
  const chosen = list[randomInt(list.length)];
  if (chosen === undefined) throw new Error('nothing to choose from');
  return chosen;
}
