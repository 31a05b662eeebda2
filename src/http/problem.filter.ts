import { Catch, HttpException, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../domain-error.js';
import {
  AnotherLog,
  AppendTooLarge,
  EventStoreUnavailable,
  NoSuchPosition,
  StreamDeleted,
  UserRefused,
} from '../event-store/event-store.js';
import { IdempotencyKeyReused, PreconditionFailed } from '../commands/handle-command.js';
import { TooMuchContention } from '../commands/keyed-queue.js';
import { inWords, isUnavailable, PoolCrowded, stackOf } from '../postgres/errors.js';
import { MAX_APPEND_BYTES } from '../stored-data.js';
import { notFound } from './allowed-methods.js';
import { CallerLeft } from './caller.js';
import { unsupportedType } from './media-types.js';
import { idsOf, nameOf } from './observe.js';
import { invalidRequest, onAnotherLog, Problem, PROBLEM_JSON, problemBody, unavailable } from './problem.js';

const STATUS = { 'not-found': 404, conflict: 409, unprocessable: 422 } as const;

/** Answers every error as a problem. An unexpected error is logged, and the answer doesn't show the error's text. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('http');

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    if (error instanceof CallerLeft) {
      reply.raw.destroy();
      return;
    }
    const problem = this.toProblem(error, request);
    if (reply.raw.headersSent) {
      reply.raw.destroy();
      return;
    }
    void reply
      .status(problem.status)
      .headers(problem.extra.headers ?? {})
      .type(PROBLEM_JSON)
      .send(problemBody(problem, request.id));
  }

  private toProblem(error: unknown, request: FastifyRequest): Problem {
    if (error instanceof Problem) return error;
    if (error instanceof DomainError)
      return new Problem(STATUS[error.kind], error.rule, error.message, {
        members: error.members,
        ...(error.pointer && {
          errors: [{ pointer: error.pointer, rule: error.rule, detail: error.message }],
        }),
      });
    if (error instanceof PreconditionFailed)
      return new Problem(412, 'revision-mismatch', error.message, {
        ...(error.actual !== undefined && { headers: { etag: `"${error.actual}"` } }),
      });
    if (error instanceof IdempotencyKeyReused)
      return new Problem(422, 'idempotency-key-reused', error.message);
    if (error instanceof TooMuchContention) return unavailable(error.message);
    if (error instanceof AppendTooLarge)
      return new Problem(413, 'too-large', `The change is larger than ${MAX_APPEND_BYTES} bytes.`);
    if (error instanceof StreamDeleted) return new Problem(410, 'stream-deleted', error.message);
    if (error instanceof NoSuchPosition)
      return invalidRequest([{ pointer: 'query/after', rule: 'position', detail: error.message }]);
    if (error instanceof PoolCrowded || (error instanceof Error && error.cause instanceof PoolCrowded))
      return unavailable('Too many requests wait for the database; nothing was done.');
    if (error instanceof AnotherLog) {
      this.logger.error(`${nameOf(request)}: ${error.message}`, idsOf(request));
      return onAnotherLog();
    }
    if (error instanceof EventStoreUnavailable || isUnavailable(error)) {
      this.logger.warn(`${nameOf(request)}: ${inWords(error)}`, idsOf(request));
      if (error instanceof UserRefused)
        return unavailable('The event store refuses Colophon’s user; the log lines of Colophon say why.');
      return unavailable('The database is unavailable; the outcome of the request is unknown.');
    }
    const known = fromFramework(error, request);
    if (known) return known;
    this.logger.error(nameOf(request), stackOf(error), idsOf(request));
    return new Problem(500, 'internal-error', 'Something went wrong on our side.');
  }
}

/** The problem for an error of Fastify or Nest about the request itself; undefined for other errors. */
export function fromFramework(
  error: unknown,
  request: Pick<FastifyRequest, 'method' | 'url' | 'server' | 'routeOptions'>,
): Problem | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error ? error.code : undefined;
  if (code === 'FST_ERR_BAD_URL') return new Problem(400, 'malformed-url', 'The URL is not well-formed.');
  if (code === 'FST_ERR_CTP_INVALID_CONTENT_LENGTH')
    return new Problem(400, 'malformed-request', 'The body does not have the announced length.');
  const status =
    error instanceof HttpException ? error.getStatus() : 'statusCode' in error ? error.statusCode : 0;
  if (status === 413) return new Problem(413, 'too-large', 'The request body is too large.');
  if (status === 415) return unsupportedType(request.routeOptions.config);
  if (status === 404) return notFound(request);
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new Problem(status, 'malformed-request', error.message);
  return undefined;
}
