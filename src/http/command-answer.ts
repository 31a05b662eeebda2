import type { FastifyReply } from 'fastify';
import type { CommandResult } from '../event-store/command-context.js';
import { formatPosition } from '../event-store/event-store.js';

/** What every command answers. Revision and position are strings: they may outgrow a JSON reader's numbers. */
export interface CommandAnswer {
  readonly id: string;
  readonly revision: string;
  readonly position: string;
}

/** Sets status and headers of a command's answer, and makes its body. */
export function answer(reply: FastifyReply, result: CommandResult, collection: string): CommandAnswer {
  const { id, created } = result;
  const revision = result.revision.toString();
  const position = formatPosition(result.position);
  reply
    .status(created ? 201 : 200)
    .header('etag', `"${revision}"`)
    .header('position', position);
  if (created) reply.header('location', `/${collection}/${id}`);
  return { id, revision, position };
}
