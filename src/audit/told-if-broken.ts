import { IntrinsicException, Logger } from '@nestjs/common';
import { EventStoreUnavailable } from '../event-store/event-store.js';
import type { KnownCaller } from '../http/access.js';
import { inWords, isUnavailable } from '../postgres/errors.js';

const logger = new Logger('audit');

/** A stream of lines broke off after its headers. Nest logs any other error as one of the service's own. */
class BrokenOff extends IntrinsicException {}

class TokenEnded extends Error {}

/**
 * The same lines. If a store goes away in the middle, or the token of the caller ends, the log has a warning, and the
 * caller sees a broken answer.
 * @param ids of the request, for the warning.
 */
export async function* toldIfBroken(
  lines: AsyncIterable<string>,
  { isValid }: Pick<KnownCaller, 'isValid'>,
  ids: Readonly<Record<string, string>>,
): AsyncIterable<string> {
  let begun = false;
  try {
    for await (const line of lines) {
      if (begun && !isValid()) throw new TokenEnded('the token of the caller is no longer valid');
      yield line;
      begun = true;
    }
  } catch (error) {
    // Before the first line, the answer can still be a 503.
    const expected =
      error instanceof TokenEnded || error instanceof EventStoreUnavailable || isUnavailable(error);
    if (!begun || !expected) throw error;
    logger.warn(`an answer of lines broke off: ${inWords(error)}`, ids);
    throw new BrokenOff('an answer of lines broke off', { cause: error });
  }
}
