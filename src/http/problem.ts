/** One error in a request. */
export interface RequestError {
  /** JSON pointer into the body, or `query/name`, `header/Name`, `path/name`. */
  readonly pointer: string;
  /** Stable name of the broken rule. */
  readonly rule: string;
  readonly detail: string;
}

/** An error that the client gets as problem details (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    /** Stable, in kebab-case. The `type` is `urn:colophon:problem:` followed by the slug. */
    readonly slug: string,
    detail: string,
    readonly extra: {
      errors?: readonly RequestError[];
      headers?: Record<string, string>;
      /** Further members of the body. */
      members?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(detail);
  }
}

/** The request is malformed. The answer lists the first {@link MAX_ERRORS} errors. */
export const invalidRequest = (errors: readonly RequestError[]): Problem =>
  new Problem(400, 'invalid-request', 'The request is not valid.', { errors });

/** A dependency of the answer is unavailable. The same request may succeed soon. */
export const unavailable = (detail: string): Problem =>
  new Problem(503, 'unavailable', detail, { headers: { 'retry-after': '1' } });

/** The event store holds another log than the tables were built from, or an older state of the log. */
export const onAnotherLog = (): Problem =>
  unavailable('The log of the event store went back or was replaced, so it does not match the tables.');

const TITLES: Record<number, string> = {
  301: 'Moved Permanently',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

export const PROBLEM_JSON = 'application/problem+json';

/** A body of 1 MiB can have 100,000 errors, or one with a text of 1 MiB. */
const MAX_ERRORS = 20;
const MAX_TEXT = 500;

/** Shortens a text that may be the client's. */
export const shorten = (text: string): string =>
  text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;

/**
 * The JSON body of a problem. Bounded, however large the request was.
 * @param requestId undefined if what arrived is no request.
 */
export function problemBody(
  { status, slug, message, extra: { errors, members } }: Problem,
  requestId?: string,
) {
  const more = (errors?.length ?? 0) - MAX_ERRORS;
  return {
    type: `urn:colophon:problem:${slug}`,
    title: TITLES[status] ?? 'Error',
    status,
    detail: shorten(message),
    ...(requestId !== undefined && { requestId }),
    ...members,
    ...(errors && {
      errors: errors.slice(0, MAX_ERRORS).map(({ pointer, rule, detail }) => ({
        pointer: shorten(pointer),
        rule,
        detail: shorten(detail),
      })),
    }),
    ...(more > 0 && { moreErrors: more }),
  };
}
