import { request, type OutgoingHttpHeaders } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
  /** The parsed body; undefined where there is none or it isn't JSON. */
  readonly body: any;
}

/** A request as written: `fetch` would refuse or repair some paths and headers. A list of values is repeated headers. */
export function ask(
  url: string,
  method: string,
  path: string,
  headers: OutgoingHttpHeaders = {},
  body?: string,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    // For some methods, the client would send a body without its length.
    const length = body !== undefined && { 'content-length': Buffer.byteLength(body) };
    const sent = { ...length, ...headers };
    const asked = request({ hostname, port, method, path, headers: sent, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk)).on('error', reject);
      response.on('end', () => {
        const json = /^application\/(problem\+)?json/.test(response.headers['content-type'] ?? '');
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          body: json && text ? JSON.parse(text) : undefined,
        });
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** A connection to which a test writes bytes, and which collects what comes back. */
export interface RawConnection {
  readonly socket: Socket;
  readonly received: () => string;
  /** Resolves when the other side has closed. */
  readonly closed: Promise<string>;
}

export function open(url: string): RawConnection {
  const { hostname, port } = new URL(url);
  let text = '';
  const socket = connect(Number(port), hostname);
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  // Writing to a connection that the other side has reset is what some tests do.
  socket.on('error', () => undefined);
  const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(text)));
  return { socket, received: () => text, closed };
}

/** Sends a byte at a time, until the connection closes or `until` resolves. */
export function drip({ socket }: RawConnection, byte: string, until?: Promise<unknown>): void {
  const timer = setInterval(() => socket.write(byte), 20);
  const stop = () => clearInterval(timer);
  socket.on('close', stop);
  void until?.then(stop);
}
