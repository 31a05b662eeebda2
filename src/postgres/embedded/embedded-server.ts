import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';
import { OperatorError } from '../../errors.js';
import { connectionOptions } from '../connection-options.js';
import { APPLICATION_NAME } from '../database.js';
import { sqlState } from '../errors.js';
import { READER, SERVICE } from '../roles.js';
import { initialise, LOCALE } from './initialise.js';
import { locateBinaries, locateData, type Binaries } from './locations.js';
import { passwordOf, passwordOfRole } from './password.js';
import { choosePort } from './port.js';
import { isRunning, isStopping, lastLogLines, runningPort } from './postmaster.js';
import { rolesOf } from './roles.js';
import { run } from './run.js';
import { serverUser, type ServerUser } from './server-user.js';

const DATABASE = 'colophon';
/** The superuser that initdb creates. Sets up the server and the log; the service and readers have their own logins. */
const OWNER = APPLICATION_NAME;
const WATCH_MS = 500;
const START_SECONDS = 60;
/** How long another start, or remains of a killed server, may block the folder before the start fails. */
const SETTLE_MS = 15_000;
const RETRY_MS = 200;
const PROBE_MS = 2_000;
const LEAVE_MS = 1_000;
/**
 * How the server is told to stop, and how many seconds that may take. A fast stop rolls back, and writes the tables to
 * disk. A server that recovers from the crash of one of its processes never ends a fast stop. An immediate stop ends the
 * server: nothing is lost, and the next start recovers.
 */
const FAST = ['fast', 15] as const;
const IMMEDIATE = ['immediate', 15] as const;

/**
 * The server's own memory for pages: a sixteenth of the machine's or container's, between PostgreSQL's default of
 * 128 MB and 512 MB. A page that only the operating system holds takes three times as long: searches of 1 M books read
 * 10,000 to 30,000 pages.
 */
function sharedBuffersMb(): number {
  const limit = process.constrainedMemory();
  const memory = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return Math.round(Math.min(512, Math.max(128, memory / 16 / 1_048_576)));
}

/** cannot_connect_now: the server starts, recovers or stops. */
const NOT_NOW = '57P03';
const NO_DATABASE = '3D000';
const HELD = /lock file|shared memory block/;
/** Attempts to set up the logins. Another process may hold a table, or make the same changes. */
const ROLES_TRIES = 5;
const LOCKED = '55P03';
/** 40P01: a deadlock; XX000: "tuple concurrently updated". */
const IN_THE_WAY = [LOCKED, '40P01', 'XX000'];

/** Another server than this project's, to test against. */
export interface Edition {
  /** A folder with the server's programs in `bin`. */
  readonly native?: string;
  /** The locale of a new folder, as arguments of initdb. */
  readonly locale?: readonly string[];
}

/**
 * A real PostgreSQL from npm, one per data folder. Listens only on the loopback interface.
 *
 * `pg_ctl` starts the server in a separate session. So Ctrl-C reaches only our process, and the server keeps running
 * while requests finish. The server also outlives a killed service, and the next start uses the running server. The
 * last Colophon process to stop also stops the server. A killed server is started again within a second.
 */
export class EmbeddedServer {
  private watch: NodeJS.Timeout | undefined;
  private reviving: Promise<void> | undefined;
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
   * @param signal gives up. A server that was started meanwhile is stopped.
   * @throws OperatorError if the folder can't be used.
   */
  static async start(
    dataDir: string,
    signal?: AbortSignal,
    { native, locale = LOCALE }: Edition = {},
  ): Promise<EmbeddedServer> {
    const user = serverUser();
    const folder = locateData(dataDir, user);
    try {
      accessSync(dataDir, constants.W_OK | constants.X_OK);
    } catch {
      throw new OperatorError(`DATA_DIR ${dataDir} isn't writable`);
    }
    const binaries = await locateBinaries(user, native);
    const password = passwordOf(dataDir);
    signal?.throwIfAborted();
    if (!existsSync(join(folder, 'PG_VERSION'))) await initialise(binaries, user, folder, password, locale);
    signal?.throwIfAborted();
    const running = runningPort(folder);
    const server = new EmbeddedServer(
      binaries,
      user,
      folder,
      running ?? (await choosePort(dataDir)),
      password,
    );
    await server.up(signal);
    try {
      signal?.throwIfAborted();
      await server.prepareDatabase(signal);
      server.watchOver();
      return server;
    } catch (error) {
      await server.stop().catch(() => undefined);
      throw error;
    }
  }

  /** URL for the service's connections. */
  get url(): string {
    return this.urlOf(SERVICE, passwordOfRole(SERVICE, this.password));
  }

  /** URL for SQL clients, whose login can only read the tables. Stays the same across starts. */
  get readerUrl(): string {
    return this.urlOf(READER, passwordOfRole(READER, this.password));
  }

  /** URL for changes of the log's schema. The login is a superuser. */
  get ownerUrl(): string {
    return this.urlOf(OWNER, this.password);
  }

  private urlOf(role: string, password: string, database = DATABASE): string {
    return `postgres://${role}:${password}@127.0.0.1:${this.port}/${database}`;
  }

  /**
   * Stops the server, unless another Colophon process is connected to the server.
   * @throws OperatorError if the server doesn't stop in time.
   */
  async stop(): Promise<void> {
    this.stopping = true;
    clearInterval(this.watch);
    await this.reviving;
    let usage = await this.usage();
    // Our own connections may take a moment to leave the server's list, and the server to notice that a process crashed.
    for (const deadline = performance.now() + LEAVE_MS; usage === 'used' || usage === 'unknown';) {
      if (performance.now() > deadline) break;
      await setTimeout(RETRY_MS);
      usage = await this.usage();
    }
    if (usage === 'used') return;
    let cause: unknown;
    for (const [mode, seconds] of usage === 'recovering' ? [IMMEDIATE] : [FAST, IMMEDIATE]) {
      if (!isRunning(this.folder)) return;
      try {
        await this.pgCtl('stop', '-m', mode, '-w', '-t', String(seconds));
        return;
      } catch (error) {
        cause = error;
      }
    }
    if (isRunning(this.folder))
      throw new OperatorError(`the embedded PostgreSQL didn't stop (${lastLogLines(this.folder).at(-1)})`, {
        cause,
      });
  }

  private async up(signal?: AbortSignal): Promise<void> {
    const options = [
      `-p ${this.port}`,
      '-h 127.0.0.1',
      `-c unix_socket_directories=''`,
      '-c max_connections=200',
      '-c max_wal_size=2GB',
      `-c shared_buffers=${sharedBuffersMb()}MB`,
      ...this.notifications(),
    ];
    const start = ['start', '-w', '-t', String(START_SECONDS), '-l', join(this.folder, 'server.log')];
    for (let deadline = performance.now() + SETTLE_MS; ; await setTimeout(RETRY_MS)) {
      signal?.throwIfAborted();
      if (this.stopping) return;
      // Another process may have started the server first, on another port.
      this.port = runningPort(this.folder) ?? this.port;
      if (await this.answers()) return;
      try {
        await this.pgCtl(...start, '-o', options.join(' '));
        return;
      } catch (cause) {
        const said = lastLogLines(this.folder);
        const held = HELD.test(said.join()) || isRunning(this.folder);
        if (held && performance.now() <= deadline) continue;
        if (!isStopping(this.folder))
          throw new OperatorError(`the embedded PostgreSQL didn't start (${said.at(-1)})`, { cause });
        // A stop that an earlier process gave up, or that nobody waits for. Such a server never serves again.
        const [mode, seconds] = IMMEDIATE;
        await this.pgCtl('stop', '-m', mode, '-w', '-t', String(seconds)).catch(() => undefined);
        deadline = performance.now() + SETTLE_MS;
      }
    }
  }

  /** Every login may notify, and fill 8 GB of the disk by default. PostgreSQL 17 and newer have a setting. */
  private notifications(): string[] {
    const version = Number(readFileSync(join(this.folder, 'PG_VERSION'), 'utf8'));
    return version >= 17 ? ['-c max_notify_queue_pages=4096'] : [];
  }

  /** Restarts a server that dies while we run. Meanwhile connections fail, and requests get a 503. */
  private watchOver(): void {
    if (this.stopping) return;
    this.watch = setInterval(() => {
      if (isRunning(this.folder)) return;
      clearInterval(this.watch);
      this.reviving = this.up()
        .catch(() => undefined)
        .then(() => this.watchOver());
    }, WATCH_MS).unref();
  }

  private async answers(): Promise<boolean> {
    const client = this.probe();
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

  /** Creates the database if it is missing, and its logins. */
  private async prepareDatabase(signal?: AbortSignal): Promise<void> {
    const roles = rolesOf(DATABASE, {
      service: passwordOfRole(SERVICE, this.password),
      reader: passwordOfRole(READER, this.password),
    });
    for (let attempt = 1; ; attempt += 1) {
      signal?.throwIfAborted();
      const client = this.probe(DATABASE);
      try {
        await client.connect();
        await client.query(roles);
        return;
      } catch (error) {
        const state = sqlState(error) ?? '';
        const again = attempt < ROLES_TRIES;
        if (again && state === NO_DATABASE) await this.createDatabase();
        else if (!again || !IN_THE_WAY.includes(state)) {
          const others = state === LOCKED ? await openTransactions(client) : '';
          throw new OperatorError(
            `the embedded PostgreSQL can't be set up: ${(error as Error).message}${others}`,
            { cause: error },
          );
        }
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  private async createDatabase(): Promise<void> {
    const client = this.probe();
    await client.connect();
    try {
      await client.query(`create database ${DATABASE}`);
    } catch (error) {
      // Another process is creating the database at this moment, or has created it.
      if (!['42P04', '23505'].includes(sqlState(error) ?? '')) throw error;
    } finally {
      await client.end();
    }
  }

  /** Whether another Colophon process is connected. */
  private async usage(): Promise<'used' | 'unused' | 'recovering' | 'unknown'> {
    const client = this.probe();
    try {
      await client.connect();
      const { rows } = await client.query(
        `select from pg_stat_activity
         where application_name = $1 and usename <> $2 and pid <> pg_backend_pid() limit 1`,
        [APPLICATION_NAME, READER],
      );
      return rows.length > 0 ? 'used' : 'unused';
    } catch (error) {
      if (!isRunning(this.folder) || isStopping(this.folder)) return 'unused';
      return (error as { code?: string }).code === NOT_NOW ? 'recovering' : 'unknown';
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** A connection that doesn't count as a user of the server. */
  private probe(database = 'postgres'): Client {
    const client = new Client(
      connectionOptions(this.urlOf(OWNER, this.password, database), {
        connectionTimeoutMillis: PROBE_MS,
        query_timeout: 10_000,
      }),
    );
    client.on('error', () => undefined);
    return client;
  }

  private pgCtl(...args: string[]): Promise<void> {
    return run(this.binaries.pgCtl, ['-D', this.folder, ...args], this.user, dirname(this.folder));
  }
}

/** The sessions whose transactions have been open for a second, as the end of a sentence. */
async function openTransactions(client: Client): Promise<string> {
  await client.query('rollback');
  const { rows } = await client.query<{ session: string }>(
    `select format('pid %s (%s)', pid, concat_ws(', ', nullif(application_name, ''), usename)) as session
     from pg_stat_activity
     where datname = current_database() and xact_start < clock_timestamp() - interval '1 s' and pid <> pg_backend_pid()`,
  );
  return `; open transactions: ${rows.map(({ session }) => session).join(', ') || 'none by now'}`;
}
