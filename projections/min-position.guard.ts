import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { PositionTokens } from '../src/event-store/position-token.js';
import { minPositionOf } from '../src/http/min-position.js';
import { unavailable, type Problem } from '../src/http/problem.js';
import { Projector } from './projector.js';

/** How long a query with `Min-Position` waits for the tables. */
export abstract class ReadYourWrites {
  abstract readonly patienceMs: number;
}

/** The problem if tables of an older version can't give the answer. */
export const olderTables = (): Problem =>
  unavailable('The tables have an older version and are being rebuilt for this version.');

/** Delays a query with `Min-Position` until the tables reach that position. Answers 503 after the longest wait. */
@Injectable()
export class MinPositionGuard implements CanActivate {
  constructor(
    private readonly projector: Projector,
    private readonly tokens: PositionTokens,
    private readonly options: ReadYourWrites,
  ) {}

  canActivate(host: ExecutionContext): boolean | Promise<boolean> {
    if (!this.projector.readable) throw olderTables();
    const position = minPositionOf(host.switchToHttp().getRequest<FastifyRequest>(), this.tokens);
    return position === undefined || this.waitFor(position);
  }

  private async waitFor(position: bigint): Promise<boolean> {
    if (await this.projector.reached(position, this.options.patienceMs)) return true;
    throw unavailable('The tables have not reached this position yet.');
  }
}
