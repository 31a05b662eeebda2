import { isUtf8 } from 'node:buffer';
import { Problem } from './problem.js';

/** Our deepest body has four levels. The limit keeps recursive code from running out of stack. */
const MAX_DEPTH = 32;
const [QUOTE, BACKSLASH, BRACKET, BRACE] = [0x22, 0x5c, 0x5b, 0x7b];

/**
 * Parses JSON in UTF-8; an empty body gives undefined.
 * @throws Problem 400
 */
export function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw new Problem(400, 'malformed-json', 'The request body is not UTF-8.');
  if (isDeeperThan(MAX_DEPTH, body))
    throw new Problem(400, 'malformed-json', `The request body is nested deeper than ${MAX_DEPTH} levels.`);
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    throw new Problem(400, 'malformed-json', `The request body is not JSON: ${(error as Error).message}.`);
  }
}

/** Whether brackets and braces nest deeper than the limit. Brackets in strings don't count. */
function isDeeperThan(limit: number, json: Buffer): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (inString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === BRACE || byte === BRACKET) depth += 1;
    else if (byte === BRACE + 2 || byte === BRACKET + 2) depth -= 1;
    if (depth > limit) return true;
  }
  return false;
}
