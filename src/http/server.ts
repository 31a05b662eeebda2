import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { rememberRoutes } from './allowed-methods.js';
import { limitBodyTime } from './body-time.js';
import { allowOrigins } from './cross-origin.js';
import { refuseForeign, type KnownNames } from './foreign.js';
import { limitRequests, type RequestLimits } from './limits.js';
import { refuseMalformed } from './malformed.js';
import { bodyType, JSON_TYPE, NDJSON, unsupportedType } from './media-types.js';
import { observeRequests, REQUEST_ID, requestIdOf } from './observe.js';
import { parseJson } from './parse-json.js';
import { Problem, PROBLEM_JSON, problemBody } from './problem.js';
import { fromFramework } from './problem.filter.js';
import { boundRequests } from './requests-under-way.js';
import { addSecurityHeaders } from './security.js';
import { readTls, type TlsFiles } from './tls.js';
import { boundUnreadAnswers } from './unread-answers.js';

const IDLE_MS = 65_000;
const HEADERS_MS = 20_000;
/** Connections beyond this number are closed at once. An idle connection takes some 10 kB. */
const MAX_CONNECTIONS = 10_000;

export interface ServerOptions extends KnownNames, RequestLimits {
  /** Largest body, and longest time from the headers to the body's end. Neither holds for a route that streams. */
  readonly maxBodyBytes: number;
  readonly bodyTimeoutMs: number;
  /** Addresses of proxies, also as networks such as `10.0.0.0/8`, whose `X-Forwarded-For` names the client. */
  readonly trustedProxies: readonly string[];
  /** Undefined: without TLS. */
  readonly tls: TlsFiles | undefined;
}

/**
 * Fastify with strict parsing. An error before a route is found is answered as a problem too.
 * @throws OperatorError if there is no TLS with the files.
 */
export async function createAdapter(options: ServerOptions): Promise<FastifyAdapter> {
  const { maxBodyBytes, bodyTimeoutMs, trustedProxies, tls } = options;
  const server = { headersTimeout: HEADERS_MS, connectionsCheckingInterval: 5_000 };
  const adapter = new FastifyAdapter({
    bodyLimit: maxBodyBytes,
    genReqId: requestIdOf,
    routerOptions: { maxParamLength: 255 },
    // An import may take any time as long as bytes move. A connection without traffic for IDLE_MS is closed.
    requestTimeout: 0,
    connectionTimeout: IDLE_MS,
    ...(tls ? { https: { ...server, ...readTls(tls), handshakeTimeout: HEADERS_MS } } : { http: server }),
    trustProxy: trustedProxies.length > 0 && [...trustedProxies],
    keepAliveTimeout: 65_000,
    forceCloseConnections: 'idle',
    // Requests that arrive on open connections during shutdown are still answered.
    return503OnClosing: false,
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      const problem = fromFramework(error, request) ?? new Problem(400, 'malformed-request', error.message);
      // No hook runs here, so a body that drips must end with the connection.
      void reply
        .status(problem.status)
        .header('connection', 'close')
        .header(REQUEST_ID, request.id)
        .type(PROBLEM_JSON)
        .send(problemBody(problem, request.id));
    },
    clientErrorHandler: refuse,
  });
  const fastify = adapter.getInstance<FastifyInstance>();
  fastify.server.maxConnections = MAX_CONNECTIONS;
  observeRequests(fastify);
  // Before what refuses, because a refusal doesn't end a body that drips.
  limitBodyTime(fastify, bodyTimeoutMs);
  await addSecurityHeaders(fastify, tls !== undefined);
  boundRequests(fastify, maxBodyBytes);
  const checkNames = refuseForeign(options);
  fastify.addHook('onRequest', (request, _reply, done) => {
    try {
      refuseMalformed(request.raw);
      checkNames(request);
      done();
    } catch (error) {
      done(error as Error);
    }
  });
  allowOrigins(fastify, options.allowedOrigins);
  await limitRequests(fastify, options);
  rememberRoutes(fastify);
  boundUnreadAnswers(fastify);
  fastify.server.on('checkExpectation', refuseExpectation);
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(JSON_TYPE, { parseAs: 'buffer' }, (request, body, done) => {
    try {
      refuseType(request, JSON_TYPE);
      done(null, parseJson(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
  // Imports are read line by line as lines arrive, so the limit on bodies doesn't apply.
  fastify.addContentTypeParser(NDJSON, (request, payload, done) => {
    try {
      refuseType(request, NDJSON);
      done(null, payload);
    } catch (error) {
      done(error as Error);
    }
  });
  return adapter;
}

function refuseType({ headers, routeOptions }: FastifyRequest, type: string): void {
  if (type !== bodyType(routeOptions.config)) throw unsupportedType(routeOptions.config);
  const encoding = headers['content-encoding']?.toLowerCase();
  // Whether a stream is compressed is told by its first bytes.
  const known = routeOptions.config.streams ? ['identity', 'gzip', 'x-gzip'] : ['identity'];
  if (encoding !== undefined && !known.includes(encoding)) {
    const but = routeOptions.config.streams ? ' other than gzip' : '';
    throw new Problem(415, 'unsupported-media-type', `Send the request body without Content-Encoding${but}.`);
  }
}

/** Node answers `100-continue`, and leaves other expectations to us. The request reaches no route. */
function refuseExpectation(request: IncomingMessage, response: ServerResponse): void {
  const problem = new Problem(417, 'expectation-failed', 'The only expectation that is met is 100-continue.');
  const id = requestIdOf(request);
  response.writeHead(problem.status, {
    'content-type': PROBLEM_JSON,
    connection: 'close',
    [REQUEST_ID]: id,
  });
  response.end(JSON.stringify(problemBody(problem, id)));
}

/** Answers bytes that aren't HTTP. Such bytes never reach a route, so the answer is written to the bare socket. */
function refuse(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const body = JSON.stringify(
    problemBody(
      status === 408
        ? new Problem(status, 'request-timeout', 'The request did not arrive in time.')
        : new Problem(status, 'malformed-request', 'This is not a valid HTTP request.'),
    ),
  );
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: ${PROBLEM_JSON}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
