import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ask } from '../checker/ask.js';
import { KillableServer } from '../support/eventstoredb-server.js';
import { start, startService, TELL_UNHEARD, type RunningService } from '../support/process.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { Postgres } from './postgres.js';

/** What surrounds the services of a row. */
export interface Setting {
  /** The log is in an EventStoreDB, started by this command. */
  readonly eventStoreDb?: string;
  /** A network that misbehaves stands between the services, their stores and their callers. */
  readonly network?: boolean;
  /** PostgreSQL stands on a disk of so many megabytes. */
  readonly diskMegabytes?: number;
  /** Megabytes of a service's heap. */
  readonly heapMegabytes?: number;
  /** The clock of PostgreSQL and of the services can be set. */
  readonly clock?: boolean;
  /** A PostgreSQL follows the first one. */
  readonly standby?: boolean;
}

/** Where Debian has the library that shows a program another time. */
export const FAKED_CLOCK = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketimeMT.so.1`;

const SERVICES = 2;

/** Two services, their stores and the network between them. */
export class World {
  readonly services: Service[] = [];
  /** What no service should ever do. */
  readonly wrong: string[] = [];
  /** Services that ended although nobody killed them. */
  ended = 0;
  readonly networks: TcpProxy[] = [];
  private constructor(
    readonly folder: string,
    readonly setting: Setting,
    public postgres: Postgres,
    public standby: Postgres | undefined,
    /** What leads to the PostgreSQL that takes commits. */
    readonly database: TcpProxy | undefined,
    readonly store: KillableServer | undefined,
    readonly disk: string,
  ) {}

  static async create(setting: Setting): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), 'colophon-faults-'));
    // If root runs the matrix, PostgreSQL runs as another user, who must get in.
    chmodSync(folder, 0o755);
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    if (setting.diskMegabytes)
      run('mount', '-t', 'tmpfs', '-o', `size=${setting.diskMegabytes}m`, 'tmpfs', disk);
    chmodSync(disk, 0o755);
    const clock = join(folder, 'clock');
    writeFileSync(clock, '+0');
    chmodSync(clock, 0o644);
    const faked: Record<string, string> = setting.clock
      ? {
          LD_PRELOAD: FAKED_CLOCK,
          FAKETIME_TIMESTAMP_FILE: clock,
          FAKETIME_CACHE_DURATION: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
          FAKETIME_DONT_RESET: '1',
        }
      : {};
    const postgres = await Postgres.create(join(disk, 'postgres'), faked);
    const standby = setting.standby
      ? await postgres.standby(join(disk, 'standby', 'data'), postgres.port + 1)
      : undefined;
    const store = setting.eventStoreDb ? await KillableServer.node(setting.eventStoreDb) : undefined;
    const through = setting.network || setting.standby;
    const database = through ? await TcpProxy.to({ host: '127.0.0.1', port: postgres.port }) : undefined;
    const world = new World(folder, setting, postgres, standby, database, store, disk);
    if (database) world.networks.push(database);
    const env: Record<string, string> = {
      ...TELL_UNHEARD,
      ...faked,
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'error',
      DATABASE_URL: database ? database.through(postgres.url) : postgres.url,
    };
    if (setting.heapMegabytes) env['NODE_OPTIONS'] += ` --max-old-space-size=${setting.heapMegabytes}`;
    if (store) {
      const network = setting.network && (await TcpProxy.to({ host: '127.0.0.1', port: store.port }));
      if (network) world.networks.push(network);
      env['EVENTSTOREDB_URL'] = `esdb://127.0.0.1:${network ? network.port : store.port}?tls=false`;
    }
    for (let n = 0; n < SERVICES; n += 1) {
      const service = new Service(env, (how) => world.endedBy(n, how));
      await service.start();
      if (setting.network) {
        const front = await TcpProxy.to({ host: '127.0.0.1', port: service.port });
        service.front = front;
        world.networks.push(front);
      }
      world.services.push(service);
    }
    return world;
  }

  /** What callers may ask. */
  get urls(): string[] {
    const awake = this.services.filter(({ frozen }) => !frozen);
    return (awake.length > 0 ? awake : this.services).map(({ url }) => url);
  }

  get env(): Record<string, string> {
    return this.services[0]?.env ?? {};
  }

  /** The service that leads the projection, or the policies. Undefined while nobody says so. */
  async leader(what: 'projections' | 'policies'): Promise<Service | undefined> {
    for (const service of this.services) {
      const answer = await ask(`${service.url}/${what}`, 'GET').catch(() => undefined);
      if (answer?.status !== 200) continue;
      const said = JSON.parse(answer.body) as { active?: boolean; items?: { active: boolean }[] };
      if (said.active ?? said.items?.[0]?.active) return service;
    }
    return undefined;
  }

  /** Sets everybody's clock, as an offset. */
  setClock(seconds: number): void {
    writeFileSync(join(this.folder, 'clock'), `${seconds < 0 ? '' : '+'}${seconds}`);
  }

  /** Runs a command of ours until it ends, or is killed. @returns its exit code or signal, and what it said. */
  command(
    args: readonly string[],
    killed?: Promise<unknown>,
  ): Promise<{ code: number | string; output: string }> {
    const program = start('bin/colophon.js', args, this.env);
    void killed?.then(() => program.process.kill('SIGKILL'));
    return program.ended.then((code) => ({ code, output: program.output() }));
  }

  /** Everything is as it was before the faults. */
  async mend(): Promise<void> {
    for (const network of this.networks) network.pass();
    if (this.setting.clock) this.setClock(0);
    if (!this.postgres.isRunning) await this.postgres.start();
    for (const service of this.services) await service.up();
  }

  async close(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop()));
    for (const network of this.networks) await network.close();
    await this.store?.drop();
    await this.standby?.stop();
    await this.postgres.stop();
    if (this.setting.diskMegabytes) run('umount', this.disk);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private endedBy(n: number, { code, output }: { code: number | string; output: string }): void {
    this.ended += 1;
    // A heap that is too small ends a process, and whoever looks after the services starts another.
    if (this.setting.heapMegabytes && /heap/.test(output)) return;
    this.wrong.push(`service ${n} ended by itself with ${code}: ${output.slice(-2_000)}`);
  }
}

/** A service that is started again whenever it ends. */
export class Service {
  /** The network between callers and the service. */
  front: TcpProxy | undefined;
  frozen = false;
  private running: RunningService | undefined;
  private starting: Promise<void> | undefined;
  private stopped = false;
  private killing = false;

  constructor(
    readonly env: Record<string, string>,
    private readonly onEnd: (how: { code: number | string; output: string }) => void,
  ) {}

  private own = 0;

  get port(): number {
    return this.own;
  }

  get url(): string {
    return `http://127.0.0.1:${this.front?.port ?? this.own}`;
  }

  /** What the service has said since its start. */
  get output(): string {
    return this.running?.output() ?? '';
  }

  start(): Promise<void> {
    this.starting ??= this.begin().finally(() => (this.starting = undefined));
    return this.starting;
  }

  async up(): Promise<void> {
    this.wake();
    await this.starting;
  }

  async kill(): Promise<void> {
    await this.starting;
    this.killing = true;
    this.running?.process.kill('SIGKILL');
    await this.running?.ended;
    this.killing = false;
    await this.start();
  }

  freeze(): void {
    this.frozen = this.running?.process.kill('SIGSTOP') ?? false;
  }

  wake(): void {
    this.running?.process.kill('SIGCONT');
    this.frozen = false;
  }

  async stop(): Promise<void> {
    await this.starting;
    this.stopped = true;
    this.running?.process.kill('SIGTERM');
    await this.running?.ended;
  }

  private async begin(): Promise<void> {
    for (;;)
      try {
        const running = await startService({ ...this.env, PORT: String(this.own) });
        this.running = running;
        this.own = Number(new URL(running.url).port);
        void running.ended.then((code) => {
          if (this.stopped || this.killing) return;
          this.onEnd({ code, output: running.output() });
          void this.start();
        });
        return;
      } catch {
        // Its stores may be away.
        if (this.stopped) return;
        await setTimeout(300);
      }
  }
}

function run(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}

export const hasFakedClock = () => existsSync(FAKED_CLOCK);
