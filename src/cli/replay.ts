import { pipeline } from 'node:stream/promises';
import { replay } from '../audit/replay.js';
import { OperatorError } from '../errors.js';
import { readerLeft } from '../program.js';
import { withResources } from './running.js';

export interface ReplayOptions {
  /** A position, as a token. */
  readonly after?: string;
  readonly types?: string[];
  readonly stream?: string;
}

export async function printLog({ after: token, ...which }: ReplayOptions): Promise<void> {
  await withResources(async ({ store, tokens }, signal) => {
    const after = token === undefined ? undefined : tokens.parse(token);
    if (token !== undefined && after === undefined)
      throw new OperatorError(`--after ${token} is not a position of this log`);
    const lines = replay(store, tokens, { after, ...which });
    await pipeline(lines, process.stdout, { end: false, signal }).catch((error: NodeJS.ErrnoException) => {
      // The reader of the pipe stopped reading, as `head` does.
      if (readerLeft(error)) return;
      throw error.syscall === 'write' ? new OperatorError(error.message) : error;
    });
  });
}
