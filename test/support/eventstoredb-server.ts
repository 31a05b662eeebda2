import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as plainRequest, type IncomingMessage } from 'node:http';
import { request as secureRequest } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { makeCertificates } from './certificates.js';

/**
 * Servers that a test may kill. `EVENTSTOREDB_COMMAND` starts a node in the foreground when it is given a port and a data
 * folder; `EVENTSTOREDB_CLUSTER_COMMAND` starts node 1, 2 or 3 of a cluster when it is given that number and a data
 * folder, and `EVENTSTOREDB_CLUSTER_URL` is the cluster's address. `EVENTSTOREDB_SECURE_COMMAND` starts a node that asks
 * for TLS and users, given a port, a data folder and a folder with `ca.crt`, `node.crt` and `node.key`.
 */
export const nodeCommand = process.env['EVENTSTOREDB_COMMAND'];
export const secureCommand = process.env['EVENTSTOREDB_SECURE_COMMAND'];
export const clusterCommand = process.env['EVENTSTOREDB_CLUSTER_COMMAND'];
export const clusterUrl = process.env['EVENTSTOREDB_CLUSTER_URL'];

/** A server process under a test's control. */
export class KillableServer {
  private process: ChildProcess | undefined;

  private constructor(
    private readonly command: string,
    private readonly args: readonly string[],
    private readonly folder: string,
    readonly port: number,
    /** A secure server's certificate of the authority, as a file. */
    private readonly caFile?: string,
  ) {}

  static async node(command: string): Promise<KillableServer> {
    const folder = mkdtempSync(join(tmpdir(), 'colophon-esdb-'));
    const port = await freePort();
    const server = new KillableServer(command, [String(port), join(folder, 'data')], folder, port);
    await server.start();
    return server;
  }

  /** A node with TLS, and the users that every server has. */
  static async secure(command: string): Promise<KillableServer> {
    const folder = mkdtempSync(join(tmpdir(), 'colophon-esdb-'));
    makeCertificates(folder);
    const port = await freePort();
    const args = [String(port), join(folder, 'data'), folder];
    const server = new KillableServer(command, args, folder, port, join(folder, 'ca.crt'));
    await server.start();
    return server;
  }

  static async member(command: string, number: 1 | 2 | 3): Promise<KillableServer> {
    const folder = mkdtempSync(join(tmpdir(), `colophon-esdb-${number}-`));
    const server = new KillableServer(command, [String(number), join(folder, 'data')], folder, 0);
    server.spawn();
    return server;
  }

  get url(): string {
    return `esdb://127.0.0.1:${this.port}?tls=false`;
  }

  /** The address of a secure server, for a user. */
  urlOf(user: string, password: string, port = this.port): string {
    const credentials = `${user}:${encodeURIComponent(password)}`;
    return `esdb://${credentials}@localhost:${port}?tls=true&tlsCAFile=${this.caFile}`;
  }

  /** The folder with the server's data, to be exchanged while the server is down. */
  get data(): string {
    return join(this.folder, 'data');
  }

  async start(): Promise<void> {
    this.spawn();
    for (;;) {
      const answer = await this.ask('GET', '/health/live').catch(() => undefined);
      if (answer?.status === 204) return;
      await new Promise((again) => setTimeout(again, 50));
    }
  }

  spawn(): void {
    this.process = spawn(this.command, this.args, { stdio: 'ignore' });
  }

  /** Asks the server's HTTP API, as its administrator. */
  async ask(method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
    const options = {
      host: '127.0.0.1',
      port: this.port,
      method,
      path,
      auth: 'admin:changeit',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
    };
    const asked =
      this.caFile === undefined
        ? plainRequest(options)
        : secureRequest({ ...options, ca: readFileSync(this.caFile) });
    asked.end(body === undefined ? undefined : JSON.stringify(body));
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return { status: answer.statusCode ?? 0, text: await text(answer) };
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { process } = this;
    if (!process || process.exitCode !== null || process.signalCode !== null) return;
    const ended = once(process, 'exit');
    process.kill(signal);
    await ended;
  }

  signal(signal: NodeJS.Signals): void {
    this.process?.kill(signal);
  }

  async drop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}
