import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { CommandResult } from '../commands/command-context.js';
import { PositionTokens } from '../event-store/position-token.js';

/** What every command answers. Revision and position are strings: they may outgrow a JSON reader's numbers. */
export interface CommandAnswer {
  readonly id: string;
  readonly revision: string;
  readonly position: string;
}

/** Answers commands alike, whatever they did. */
@Injectable()
export class CommandAnswers {
  constructor(private readonly tokens: PositionTokens) {}

  /** Sets status and headers of a command's answer, and makes its body. */
  answer(reply: FastifyReply, result: CommandResult, collection: string): CommandAnswer {
    const { id, created } = result;
    const revision = result.revision.toString();
    const position = this.tokens.format(result.position);
    reply
      .status(created ? 201 : 200)
      .header('etag', `"${revision}"`)
      .header('position', position);
    if (created) reply.header('location', `/${collection}/${id}`);
    return { id, revision, position };
  }
}
