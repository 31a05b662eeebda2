import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { CommandResult } from '../commands/command-context.js';
import { PositionTokens } from '../event-store/position-token.js';
import { canonicalUuid } from './schemas.js';

/** The answer to every command. Revision and position are strings, because they may exceed 2^53. */
export const commandAnswer = z.object({
  id: canonicalUuid,
  revision: z.string().describe("the stream's last revision, also in the ETag"),
  position: z.string().describe('opaque token; a query with this token as Min-Position sees the change'),
});

const redirected = z
  .array(z.object({ from: canonicalUuid, to: canonicalUuid }))
  .optional()
  .describe('only if the command names merged authors: each, and the last survivor, who takes the place');

/** The answer to a command that names authors has this part too. */
export const redirects = z.object({ redirected });
export const linkAnswer = commandAnswer.extend(redirects.shape);

export type CommandAnswer = z.output<typeof linkAnswer>;

/** Gives all commands the same form of answer. */
@Injectable()
export class CommandAnswers {
  constructor(private readonly tokens: PositionTokens) {}

  /** Sets status and headers of a command's answer, and returns the body. */
  answer(reply: FastifyReply, result: CommandResult, collection: string): CommandAnswer {
    const { id, created, redirected } = result;
    const revision = result.revision.toString();
    const position = this.tokens.format(result.position);
    reply
      .status(created ? 201 : 200)
      .header('etag', `"${revision}"`)
      .header('position', position);
    if (created) reply.header('location', `/${collection}/${id}`);
    return { id, revision, position, ...(redirected && { redirected: [...redirected] }) };
  }
}
