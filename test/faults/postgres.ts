import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';
import { EmbeddedServer } from '../../src/postgres/embedded/embedded-server.js';
import { locateBinaries, locateData } from '../../src/postgres/embedded/locations.js';
import { serverUser } from '../../src/postgres/embedded/server-user.js';

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '120',
  // Small enough for a small disk.
  max_wal_size: '128MB',
  // A standby can be behind by so much.
  wal_keep_size: '64MB',
};

/** A PostgreSQL that can be killed, and that nobody starts again but who killed it. */
export class Postgres {
  private constructor(
    readonly folder: string,
    readonly port: number,
    readonly url: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** @param folder without a server, which its own user can enter. */
  static async create(folder: string, env: NodeJS.ProcessEnv = {}): Promise<Postgres> {
    const first = await EmbeddedServer.start(folder);
    const url = first.ownerUrl;
    await first.stop();
    const server = new Postgres(locateData(folder, serverUser()), Number(new URL(url).port), url, env);
    await server.start();
    return server;
  }

  /** Starts the server, as soon as what remains of a killed one lets it. */
  async start(): Promise<void> {
    const settings = Object.entries({ ...SETTINGS, port: String(this.port) });
    const options = settings.map(([name, value]) => `-c ${name}='${value}'`).join(' ');
    const log = join(this.folder, 'server.log');
    while ((await this.pgCtl('start', '-w', '-t', '60', '-l', log, '-o', options)) !== 0)
      await setTimeout(200);
  }

  get isRunning(): boolean {
    const pid = this.pid();
    try {
      return pid !== undefined && process.kill(pid, 0);
    } catch {
      return false;
    }
  }

  /** Ends the server at once, as a crash of the machine would. */
  async kill(): Promise<void> {
    const pid = this.pid();
    if (pid !== undefined && this.isRunning) process.kill(pid, 'SIGKILL');
    while (this.isRunning) await setTimeout(20);
  }

  async stop(): Promise<void> {
    if (this.isRunning) await this.pgCtl('stop', '-w', '-m', 'immediate');
  }

  /** Runs one statement, as the owner. @throws if the server is away. */
  async query<Row extends object>(statement: string): Promise<Row[]> {
    const client = await this.connect();
    try {
      return (await client.query<Row>(statement)).rows;
    } finally {
      await client.end();
    }
  }

  /** @throws if the server is away, or has no room. */
  async connect(): Promise<Client> {
    const client = new Client({ connectionString: this.url, connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** A copy of the running server that follows it. Returns when no commit is acknowledged that the copy doesn't have. */
  async standby(folder: string, port: number): Promise<Postgres> {
    await this.set('synchronous_standby_names', '');
    const client = await this.connect();
    await client.query(`select pg_backup_start('standby', true)`);
    const user = serverUser();
    mkdirSync(dirname(folder), { recursive: true });
    rmSync(folder, { recursive: true, force: true });
    // What goes away meanwhile can't be copied, and isn't missed.
    await once(spawn('cp', ['-a', this.folder, folder], { stdio: 'ignore' }), 'close');
    const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)');
    await client.end();
    rmSync(join(folder, 'postmaster.pid'), { force: true });
    writeFileSync(join(folder, 'backup_label'), rows[0]?.labelfile ?? '');
    writeFileSync(join(folder, 'standby.signal'), '');
    const { username, password, hostname } = new URL(this.url);
    const primary = `host=${hostname} port=${this.port} user=${username} password=${password}`;
    appendFileSync(join(folder, 'postgresql.auto.conf'), `primary_conninfo = '${primary}'\n`);
    if (user) {
      const owner = [
        `${user.uid}:${user.gid}`,
        ...['backup_label', 'standby.signal'].map((file) => join(folder, file)),
      ];
      await once(spawn('chown', owner, { stdio: 'ignore' }), 'close');
    }
    const url = new URL(this.url);
    url.port = String(port);
    const standby = new Postgres(folder, port, url.href, this.env);
    await standby.start();
    await this.set('synchronous_standby_names', '*');
    const state = `select from pg_stat_replication where sync_state = 'sync'`;
    while ((await this.query(state)).length === 0) await setTimeout(50);
    return standby;
  }

  /** Makes a standby take commits. */
  async promote(): Promise<void> {
    while ((await this.query<{ done: boolean }>('select pg_promote() as done'))[0]?.done !== true);
  }

  private async set(name: string, value: string): Promise<void> {
    await this.query(`alter system set ${name} = '${value}'`);
    await this.query('select pg_reload_conf()');
  }

  private pid(): number | undefined {
    try {
      return Number(readFileSync(join(this.folder, 'postmaster.pid'), 'utf8').split('\n')[0]) || undefined;
    } catch {
      return undefined;
    }
  }

  private async pgCtl(...args: string[]): Promise<number> {
    const user = serverUser();
    const { pgCtl } = await locateBinaries(user);
    const child = spawn(pgCtl, ['-D', this.folder, ...args], {
      ...user,
      cwd: dirname(this.folder),
      env: { ...process.env, ...this.env },
      detached: true,
      stdio: 'ignore',
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return code ?? 1;
  }
}
