import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';

/**
 * A network that misbehaves on demand, between a client and a server on this machine.
 *
 * `pass` forwards. `swallow` forwards what the client says and loses what the server answers: the work is done and
 * nobody hears of it. `freeze` holds everything back, both ways, as a stopped machine would, and passes it on later.
 */
export class TcpProxy {
  private mode: 'pass' | 'swallow' | 'freeze' = 'pass';
  private delayMs = 0;
  private bytesPerMs = Infinity;
  private refusing = false;
  /** Bytes that the server has sent. */
  received = 0;
  private readonly links = new Set<{ client: Socket; server: Socket }>();

  private constructor(
    private readonly listener: ReturnType<typeof createServer>,
    private target: { host: string; port: number },
  ) {}

  static async to(target: { host: string; port: number }): Promise<TcpProxy> {
    const listener = createServer();
    const proxy = new TcpProxy(listener, target);
    listener.on('connection', (client) => proxy.link(client));
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.listener.address() as AddressInfo).port;
  }

  /** The same URL, through this proxy. */
  through(url: string): string {
    const other = new URL(url);
    other.hostname = '127.0.0.1';
    other.port = String(this.port);
    return other.href;
  }

  pass(): void {
    this.mode = 'pass';
    this.refusing = false;
    this.delayMs = 0;
    this.bytesPerMs = Infinity;
    for (const { client, server } of this.links) {
      client.resume();
      server.resume();
    }
  }

  swallow(): void {
    this.mode = 'swallow';
  }

  freeze(): void {
    this.mode = 'freeze';
    for (const { client, server } of this.links) {
      client.pause();
      server.pause();
    }
  }

  /** Answers take this much longer. */
  delay(milliseconds: number): void {
    this.delayMs = milliseconds;
  }

  /** Answers come this slowly. */
  throttle(bytesPerSecond: number): void {
    this.bytesPerMs = bytesPerSecond / 1_000;
  }

  /** New connections lead to another server. */
  leadTo(target: { host: string; port: number }): void {
    this.target = target;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const { client, server } of this.links) {
      client.destroy();
      server.destroy();
    }
  }

  /** Breaks every connection and takes no new one, until `pass`. */
  down(): void {
    this.refusing = true;
    this.cut();
  }

  async close(): Promise<void> {
    this.cut();
    this.listener.close();
    await once(this.listener, 'close');
  }

  private link(client: Socket): void {
    if (this.refusing) {
      client.destroy();
      return;
    }
    const server = connect(this.target.port, this.target.host);
    const link = { client, server };
    this.links.add(link);
    const end = () => {
      this.links.delete(link);
      client.destroy();
      server.destroy();
    };
    client.on('data', (chunk) => server.write(chunk));
    // What is late holds back what follows: no network changes the order of bytes.
    let late = 0;
    let written = Promise.resolve();
    server.on('data', (chunk) => {
      this.received += chunk.length;
      if (this.mode === 'swallow') return;
      const waits = this.delayMs + chunk.length / this.bytesPerMs;
      if (waits === 0 && late === 0) {
        client.write(chunk);
        return;
      }
      late += 1;
      if (this.bytesPerMs < Infinity) server.pause();
      const due = performance.now() + waits;
      written = written.then(async () => {
        await setTimeout(due - performance.now());
        late -= 1;
        if (!client.destroyed) client.write(chunk);
        if (this.mode !== 'freeze') server.resume();
      });
    });
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    if (this.mode === 'freeze') {
      client.pause();
      server.pause();
    }
  }
}
