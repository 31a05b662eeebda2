import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { unavailable } from './problem.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route is for probes: it answers at once, however much is under way, and whoever asks. */
    readonly probe?: boolean;
  }
}

/** Largest numbers of what may be under way at a time. */
export interface Room {
  /** Requests that were read and not answered: some 100 MB. Whoever waits for anything is one of these. */
  readonly requests: number;
  /** Bytes of the bodies of these requests, as announced. Bodies that are read as streams don't count. */
  readonly bodyBytes: number;
  /** Requests of one connection. Node reads the next request before the last one is answered, and would never stop. */
  readonly pipelined: number;
}

const ROOM: Room = { requests: 10_000, bodyBytes: 256 * 1_048_576, pipelined: 64 };

interface Connection {
  requests: number;
  bodyBytes: number;
  closing: boolean;
}

/**
 * Bounds how many requests are under way, and so every queue in which requests wait. The next request gets 503, and
 * nothing was done. A connection with too many requests is closed behind the refusal.
 * @param maxBodyBytes what a body of unknown length counts.
 */
export function boundRequests(
  fastify: FastifyInstance,
  maxBodyBytes: number,
  { requests: most, bodyBytes: mostBytes, pipelined }: Room = ROOM,
): void {
  const total = { requests: 0, bodyBytes: 0 };
  const connections = new WeakMap<IncomingMessage['socket'], Connection>();
  const begin = (socket: IncomingMessage['socket']): Connection => {
    const connection = { requests: 0, bodyBytes: 0, closing: false };
    connections.set(socket, connection);
    // An answer that waits behind another on the same connection is never closed itself if the connection closes first.
    socket.once('close', () => {
      total.requests -= connection.requests;
      total.bodyBytes -= connection.bodyBytes;
      connections.delete(socket);
    });
    return connection;
  };
  fastify.addHook('onRequest', ({ raw, routeOptions: { config } }, reply, done) => {
    const { socket } = raw;
    // Its end was told already, so nothing would count the request off.
    if (socket.destroyed) return done();
    const connection = connections.get(socket) ?? begin(socket);
    if (connection.closing || connection.requests >= pipelined) {
      // What follows on this connection would get no answer, so it must not be done.
      connection.closing = true;
      void reply.header('connection', 'close');
      return done(unavailable('Too many requests of this connection are under way; this one was not begun.'));
    }
    const bodyBytes = config.streams ? 0 : Math.min(announced(raw), maxBodyBytes);
    const full = total.requests >= most || (bodyBytes > 0 && total.bodyBytes + bodyBytes > mostBytes);
    if (full && !config.probe)
      return done(unavailable('Too many requests are under way; this one was not begun.'));
    for (const count of [total, connection]) {
      count.requests += 1;
      count.bodyBytes += bodyBytes;
    }
    reply.raw.once('close', () => {
      if (!connections.has(socket)) return;
      for (const count of [total, connection]) {
        count.requests -= 1;
        count.bodyBytes -= bodyBytes;
      }
    });
    done();
  });
}

const announced = ({ headers }: IncomingMessage): number =>
  headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Infinity;
