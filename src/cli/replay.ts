import { pipeline } from 'node:stream/promises';
import { replay } from '../audit/replay.js';
import { OperatorError } from '../errors.js';
import { withResources } from './running.js';

export interface ReplayOptions {
  /** A position, as a token. */
  readonly after?: string;
  readonly types?: string[];
  readonly stream?: string;
}

export async function printLog({ after: token, ...which }: ReplayOptions): Promise<void> {
  await withResources(async ({ store, tokens }) => {
    const after = token === undefined ? undefined : tokens.parse(token);
    if (token !== undefined && after === undefined)
      throw new OperatorError(`--after ${token} is not a position of this log`);
    await pipeline(replay(store, tokens, { after, ...which }), process.stdout, { end: false }).catch(
      (error: NodeJS.ErrnoException) => {
        // The reader of the pipe stopped reading, as `head` does.
        if (error.code !== 'EPIPE') throw error;
      },
    );
  });
}
