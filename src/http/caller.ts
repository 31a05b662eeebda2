import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply } from 'fastify';

/** The caller closed the connection before the answer was complete. Nobody reads an answer. */
export class CallerLeft extends Error {
  override message = 'the caller left';
}

/** A signal that aborts with {@link CallerLeft} if the caller leaves, so that expensive work can stop. */
export const Caller = createParamDecorator((_: unknown, host: ExecutionContext): AbortSignal => {
  const { raw } = host.switchToHttp().getResponse<FastifyReply>();
  const left = new AbortController();
  const leave = () => raw.writableFinished || left.abort(new CallerLeft());
  // Guards may have waited before, such as for a position.
  if (raw.destroyed) leave();
  else raw.once('close', leave);
  return left.signal;
});
