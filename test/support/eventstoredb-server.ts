import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Servers that a test may kill. `EVENTSTOREDB_COMMAND` starts a node in the foreground when it is given a port and a data
 * folder; `EVENTSTOREDB_CLUSTER_COMMAND` starts node 1, 2 or 3 of a cluster when it is given that number and a data
 * folder, and `EVENTSTOREDB_CLUSTER_URL` is the cluster's address.
 */
export const nodeCommand = process.env['EVENTSTOREDB_COMMAND'];
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
  ) {}

  static async node(command: string): Promise<KillableServer> {
    const folder = mkdtempSync(join(tmpdir(), 'colophon-esdb-'));
    const port = await freePort();
    const server = new KillableServer(command, [String(port), join(folder, 'data')], folder, port);
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

  /** The folder with the server's data, to be exchanged while the server is down. */
  get data(): string {
    return join(this.folder, 'data');
  }

  async start(): Promise<void> {
    this.spawn();
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${this.port}/health/live`).catch(() => undefined);
      if (answer?.status === 204) return;
      await new Promise((again) => setTimeout(again, 50));
    }
  }

  spawn(): void {
    this.process = spawn(this.command, this.args, { stdio: 'ignore' });
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
