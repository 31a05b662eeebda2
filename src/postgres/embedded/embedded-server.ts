import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { OperatorError } from '../../errors.js';
import { APPLICATION_NAME } from '../database.js';
import { initialise } from './initialise.js';
import { locateBinaries, locateData, type Binaries } from './locations.js';
import { passwordOf } from './password.js';
import { choosePort } from './port.js';
import { lastLogLines, runningPort } from './postmaster.js';
import { serverUser, type ServerUser } from './server-user.js';

const run = promisify(execFile);
const DATABASE = 'colophon';
const WATCH_MS = 500;
const START_SECONDS = 60;
/** How long another start, or remains of a killed server, may block the folder before the start fails. */
const SETTLE_MS = 15_000;
const RETRY_MS = 200;
const HELD = /lock file|shared memory block/;

/**
 * A real PostgreSQL from npm, one per data folder. Listens only on the loopback interface.
 *
 * `pg_ctl` starts the server in a separate session. So Ctrl-C reaches only our process, and the server keeps running
 * while requests finish. The server also outlives a killed service, and the next start uses the running server. The
 * last Colophon process to stop also stops the server. A killed server is started again within a second.
 */
export class EmbeddedServer {
  private watch: NodeJS.Timeout | undefined;
  private stopping = false;

  private constructor(
    private readonly binaries: Binaries,
    private readonly user: ServerUser | undefined,
    private readonly folder: string,
    private port: number,
    private readonly password: string,
  ) {}

  /**
   * Starts the server of this folder, or uses the running server.
   * @throws OperatorError if the folder can't be used.
   */
  static async start(dataDir: string): Promise<EmbeddedServer> {
    const user = serverUser();
    const folder = locateData(dataDir, user);
    try {
      accessSync(dataDir, constants.W_OK | constants.X_OK);
    } catch {
      throw new OperatorError(`DATA_DIR ${dataDir} isn't writable`);
    }
    const binaries = await locateBinaries(user);
    const password = passwordOf(dataDir);
    if (!existsSync(join(folder, 'PG_VERSION'))) await initialise(binaries, user, folder, password);
    const running = runningPort(folder);
    const server = new EmbeddedServer(
      binaries,
      user,
      folder,
      running ?? (await choosePort(dataDir)),
      password,
    );
    await server.up();
    await server.createDatabase();
    server.watch = setInterval(() => void server.revive(), WATCH_MS).unref();
    return server;
  }

  /** URL for our own connections and for SQL clients. Stays the same across starts. */
  get url(): string {
    return this.urlOf(DATABASE);
  }

  urlOf(database: string): string {
    return `postgres://${APPLICATION_NAME}:${this.password}@127.0.0.1:${this.port}/${database}`;
  }

  /** Stops the server, unless another Colophon process is connected to the server. */
  async stop(): Promise<void> {
    this.stopping = true;
    clearInterval(this.watch);
    if (await this.inUse()) return;
    await this.pgCtl('stop', '-m', 'fast', '-w', '-t', '60');
  }

  private async up(): Promise<void> {
    const options = [
      `-p ${this.port}`,
      '-h 127.0.0.1',
      `-c unix_socket_directories=''`,
      '-c max_connections=200',
      '-c max_wal_size=2GB',
    ];
    const start = ['start', '-w', '-t', String(START_SECONDS), '-l', join(this.folder, 'server.log')];
    for (const deadline = Date.now() + SETTLE_MS; ; await setTimeout(RETRY_MS)) {
      // Another process may have started the server first, on another port.
      this.port = runningPort(this.folder) ?? this.port;
      if (await this.answers()) return;
      try {
        await this.pgCtl(...start, '-o', options.join(' '));
        return;
      } catch (cause) {
        const said = lastLogLines(this.folder);
        const held = HELD.test(said.join()) || runningPort(this.folder) !== undefined;
        if (!held || Date.now() > deadline)
          throw new OperatorError(`the embedded PostgreSQL didn't start (${said.at(-1)})`, { cause });
      }
    }
  }

  /** Restarts a server that died while we run. Meanwhile connections fail, and requests get a 503. */
  private async revive(): Promise<void> {
    if (this.stopping || runningPort(this.folder) !== undefined) return;
    clearInterval(this.watch);
    await this.up().catch(() => undefined);
    if (!this.stopping) this.watch = setInterval(() => void this.revive(), WATCH_MS).unref();
  }

  private async answers(): Promise<boolean> {
    const client = new Client({ connectionString: this.urlOf('postgres'), connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ folder: string }>(
        `select current_setting('data_directory') as folder`,
      );
      return rows[0]?.folder === this.folder;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  private async createDatabase(): Promise<void> {
    const client = new Client({ connectionString: this.urlOf('postgres') });
    await client.connect();
    try {
      await client.query(`create database ${DATABASE}`);
    } catch (error) {
      const code = (error as { code?: string }).code;
      // 42P04: the database exists; 23505: another process is creating the database at this moment.
      if (code !== '42P04' && code !== '23505') throw error;
    } finally {
      await client.end();
    }
  }

  private async inUse(): Promise<boolean> {
    const client = new Client({ connectionString: this.urlOf('postgres'), connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query(
        'select from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid() limit 1',
        [APPLICATION_NAME],
      );
      return rows.length > 0;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  private async pgCtl(...args: string[]): Promise<void> {
    await run(this.binaries.pgCtl, ['-D', this.folder, ...args], { ...this.user, cwd: dirname(this.folder) });
  }
}
