import type { IncomingMessage } from 'node:http';
import { Logger } from '@nestjs/common';
import {
  context,
  createTraceState,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
} from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isTracing, readTraceParent, startSpan } from '../event-store/spans.js';
import { newId } from '../ids.js';
import { requestEnded } from '../signals.js';
import { isUuid } from '../stored-data.js';
import { whenEnded } from './when-ended.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Undefined if no SDK for traces is loaded. */
    span: Span | undefined;
    /** The change that the request's command is part of; undefined until the headers of a command are read. */
    changeId: string | undefined;
  }
}

/** An id that a log line may show: no blanks, no `@`, nothing that a person would be named by. */
const SOUND_ID = /^[\w.+/=:-]{1,128}$/;

export const REQUEST_ID = 'x-request-id';

/** The id that the caller or a proxy gave the request, if it is sound; otherwise a new one. */
export function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers[REQUEST_ID];
  return typeof given === 'string' && SOUND_ID.test(given) ? given : newId();
}

/** The ids by which a log line is found: of the request, of the change, of the trace. */
export function idsOf({ id, changeId, span, headers }: FastifyRequest): Record<string, string> {
  const { traceId } = span?.spanContext() ?? readTraceParent(headers.traceparent) ?? {};
  return {
    requestId: id,
    ...(changeId !== undefined && idOfChange(changeId)),
    ...(traceId !== undefined && { traceId }),
  };
}

/** The id of a change for a log line; nothing if the caller gave an id that a log line may not show. */
export const idOfChange = (changeId: string): { readonly changeId?: string } =>
  SOUND_ID.test(changeId) ? { changeId } : {};

/** What a request asked for, without what its sender wrote: the method, the route, and ids in the route. */
export function nameOf({ method, routeOptions, params }: FastifyRequest): string {
  const values = (params ?? {}) as Record<string, unknown>;
  const path = routeOptions.url?.replace(/:(\w+)/g, (part, name: string) => {
    const value = values[name];
    return isUuid(value) ? value : part;
  });
  return `${method} ${path ?? '(no route)'}`;
}

/**
 * Answers every request with its id. If an SDK for traces is loaded, every request becomes a span. At the log level
 * `debug`, every request becomes a log line.
 */
export function observeRequests(fastify: FastifyInstance): void {
  fastify.decorateRequest('span', undefined);
  fastify.decorateRequest('changeId', undefined);
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header(REQUEST_ID, request.id);
    if (requestEnded.isHeard()) tellWhenEnded(request, reply);
    done();
  });
  if (isTracing()) traceRequests(fastify);
  if (Logger.isLevelEnabled('debug')) logRequests(fastify);
}

function tellWhenEnded(request: FastifyRequest, reply: FastifyReply): void {
  const began = performance.now();
  whenEnded(request, reply, (complete) => {
    const { method, routeOptions } = request;
    const status = complete ? reply.raw.statusCode : 'aborted';
    requestEnded.tell({
      method,
      route: routeOptions.url,
      status,
      seconds: (performance.now() - began) / 1_000,
    });
  });
}

function traceRequests(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    const { method, routeOptions } = request;
    const route = routeOptions.url;
    const attributes = {
      'http.request.method': method,
      ...(route !== undefined && { 'http.route': route }),
      'colophon.request_id': request.id,
    };
    const name = route === undefined ? method : `${method} ${route}`;
    const span = startSpan(name, { kind: SpanKind.SERVER, attributes }, parentOf(request));
    request.span = span;
    whenEnded(request, reply, (complete) => {
      span.setAttribute('http.response.status_code', reply.raw.statusCode);
      if (!complete) span.setAttribute('error.type', 'aborted');
      if (!complete || reply.raw.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
    done();
  });
  // Not earlier: what comes with the bytes of a body is outside of the context.
  fastify.addHook('preValidation', (request, _reply, done) => {
    if (request.span) context.with(trace.setSpan(context.active(), request.span), done);
    else done();
  });
}

/** A span that an SDK made for the request itself; otherwise the caller's, from the headers. */
function parentOf({ headers }: FastifyRequest): Context {
  if (trace.getActiveSpan()) return context.active();
  const { traceparent, tracestate } = headers;
  const parent = readTraceParent(traceparent);
  if (!parent) return ROOT_CONTEXT;
  const traceState = typeof tracestate === 'string' ? createTraceState(tracestate) : undefined;
  return trace.setSpanContext(ROOT_CONTEXT, { ...parent, ...(traceState && { traceState }) });
}

function logRequests(fastify: FastifyInstance): void {
  const logger = new Logger('request');
  fastify.addHook('onRequest', (request, reply, done) => {
    const began = performance.now();
    whenEnded(request, reply, (complete) => {
      const status = reply.raw.statusCode;
      const milliseconds = Math.round(performance.now() - began);
      const outcome = complete ? status : 'aborted';
      logger.debug(`${nameOf(request)}: ${outcome}`, { status, milliseconds, ...idsOf(request) });
    });
    done();
  });
}
