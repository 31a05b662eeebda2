import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
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
  /** Bytes of the bodies of requests that were admitted, as announced. Bodies that are read as streams don't count. */
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
  const count = (connection: Connection, { raw }: FastifyReply, what: keyof typeof total, amount: number) => {
    for (const counted of [total, connection]) counted[what] += amount;
    raw.once('close', () => {
      // Otherwise the end of the connection counted it off.
      if (connections.get(raw.req.socket) === connection)
        for (const counted of [total, connection]) counted[what] -= amount;
    });
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
    if (total.requests >= most && !config.probe) return done(tooMany());
    count(connection, reply, 'requests', 1);
    done();
  });
  // After whatever finds out who calls: nobody else's body is read, so nobody else's body takes room.
  fastify.addHook('preParsing', ({ raw, method, routeOptions: { config } }, reply, payload, done) => {
    const bodyBytes = config.streams || BODYLESS.has(method) ? 0 : Math.min(announced(raw), maxBodyBytes);
    const connection = connections.get(raw.socket);
    if (bodyBytes === 0 || !connection) return done(null, payload);
    if (total.bodyBytes + bodyBytes > mostBytes) return done(tooMany());
    count(connection, reply, 'bodyBytes', bodyBytes);
    done(null, payload);
  });
}

/** Fastify reads no body of these. */
const BODYLESS = new Set(['GET', 'HEAD']);

const tooMany = () => unavailable('Too many requests are under way; this one was not begun.');

const announced = ({ headers }: IncomingMessage): number =>
  headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Infinity;
