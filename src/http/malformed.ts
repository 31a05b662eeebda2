import type { IncomingMessage } from 'node:http';
import { invalidRequest, Problem } from './problem.js';

/** Headers that have one value. Node would join the values of two. Lists such as `If-Match` may be given in parts. */
const SINGLE = new Map(
  [
    'Host',
    'Content-Type',
    'Origin',
    'Sec-Fetch-Site',
    'Authorization',
    'X-Actor',
    'X-On-Behalf-Of',
    'Reason',
    'Idempotency-Key',
    'X-Correlation-Id',
    'Min-Position',
  ].map((name) => [name.toLowerCase(), name]),
);

/**
 * Refuses a URL that isn't percent-encoded UTF-8, and a header that is given twice and has only one value.
 * @throws Problem 400
 */
export function refuseMalformed({ url = '', headers, rawHeaders }: IncomingMessage): void {
  if (!isEncoded(url))
    throw new Problem(
      400,
      'malformed-url',
      'The URL is not percent-encoded UTF-8: write a percent sign as %25.',
    );
  // Nearly every request: no header is given twice.
  if (Object.keys(headers).length === rawHeaders.length / 2) return;
  const seen = new Set<string>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = SINGLE.get(rawHeaders[at]?.toLowerCase() ?? '');
    if (name === undefined) continue;
    if (seen.has(name))
      throw invalidRequest([
        { pointer: `header/${name}`, rule: 'repeated', detail: 'is given more than once' },
      ]);
    seen.add(name);
  }
}

/** Node has refused characters beyond ASCII already. */
function isEncoded(url: string): boolean {
  if (!url.includes('%')) return true;
  try {
    decodeURIComponent(url);
    return true;
  } catch {
    return false;
  }
}
