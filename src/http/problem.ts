/** One thing wrong with a request. */
export interface RequestError {
  /** JSON pointer into the body, or `query/name`, `header/Name`, `path/name`. */
  readonly pointer: string;
  /** Stable name of the broken rule. */
  readonly rule: string;
  readonly detail: string;
}

/** A problem to be told to the client (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    /** Stable, kebab-case; the `type` is `urn:colophon:problem:` and this. */
    readonly slug: string,
    detail: string,
    readonly extra: { errors?: readonly RequestError[]; headers?: Record<string, string> } = {},
  ) {
    super(detail);
  }
}

/** The request breaks the rules of its own form; every breach is listed. */
export const invalidRequest = (errors: readonly RequestError[]): Problem =>
  new Problem(400, 'invalid-request', 'The request is not valid.', { errors });

/** Something the answer needs is away; the same request may succeed soon. */
export const unavailable = (detail: string): Problem =>
  new Problem(503, 'unavailable', detail, { headers: { 'retry-after': '1' } });

const TITLES: Record<number, string> = {
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

export const PROBLEM_JSON = 'application/problem+json';

/** The body of a problem's answer. */
export const problemBody = ({ status, slug, message, extra }: Problem) => ({
  type: `urn:colophon:problem:${slug}`,
  title: TITLES[status] ?? 'Error',
  status,
  detail: message,
  ...(extra.errors && { errors: extra.errors }),
});
