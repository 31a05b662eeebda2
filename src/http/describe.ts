import { applyDecorators } from '@nestjs/common';
import { ApiBody, ApiHeader, ApiOperation, ApiParam, ApiQuery, ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import { Access, type Scope } from './access.js';
import { commandAnswer } from './command-answer.js';
import { JSON_TYPE, NDJSON } from './media-types.js';
import { Offers } from './offer.guard.js';
import { changeAnswer, MAX_WAIT_S } from './prefer.js';
import { PROBLEM_JSON } from './problem.js';
import { canonicalUuid, schemaFor, Schemas, type Schema } from './schemas.js';

type JsonSchema = Record<string, unknown>;

/** The JSON schema of a request. */
const inputSchema = (schema: Schema): JsonSchema => {
  const { $schema: _, ...rest } = z.toJSONSchema(schemaFor(schema, Schemas.ofAnyService), {
    io: 'input',
  }) as JsonSchema;
  return rest;
};

/** The JSON schema of an answer. */
const outputSchema = (schema: z.ZodType): JsonSchema => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'output' }) as JsonSchema;
  return rest;
};

export const problemSchema = z.object({
  type: z.string().describe('urn:colophon:problem: and the name of the problem'),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  requestId: z
    .string()
    .optional()
    .describe('the id of the request, as in X-Request-Id; log lines have it too'),
  survivor: canonicalUuid.optional().describe('of author-merged: the author who took over'),
  errors: z
    .array(z.object({ pointer: z.string(), rule: z.string(), detail: z.string() }))
    .optional()
    .describe('for invalid input: the place, the broken rule, and an explanation; the first errors, if many'),
  moreErrors: z.int().optional().describe('how many more errors there are'),
});

type Problems = Readonly<Record<number, readonly string[]>>;

/** What any request can meet. */
const OF_REQUESTS: Problems = {
  400: ['invalid-request', 'malformed-url'],
  406: ['not-acceptable'],
  421: ['foreign-host'],
  429: ['too-many-requests'],
  503: ['unavailable'],
};
/** What any request can meet that may change something. */
export const OF_COMMANDS: Problems = {
  400: ['malformed-json'],
  403: ['foreign-origin', 'foreign-actor'],
  408: ['request-timeout'],
  413: ['too-large'],
  415: ['unsupported-media-type'],
};
/** What any request can meet on a route that needs a scope. */
export const OF_SCOPES: Problems = { 401: ['unauthorized'], 403: ['insufficient-scope'] };

const ADDRESS = { description: 'the address of the resource', schema: { type: 'string' as const } };

/** Problems as responses, one for each status, besides those that any request can meet. */
export function DescribeProblems(...some: readonly (Problems | undefined)[]): MethodDecorator {
  const byStatus = new Map<number, Set<string>>();
  for (const problems of [OF_REQUESTS, ...some])
    for (const [status, slugs] of Object.entries(problems ?? {}))
      byStatus.set(Number(status), new Set([...(byStatus.get(Number(status)) ?? []), ...slugs]));
  return applyDecorators(
    ...[...byStatus].map(([status, slugs]) =>
      ApiResponse({
        status,
        description: [...slugs].join(', '),
        ...(status === 301 && { headers: { location: ADDRESS } }),
        content: { [PROBLEM_JSON]: { schema: outputSchema(problemSchema) } },
      }),
    ),
  );
}

const parameters = (names: readonly string[] = [], format?: 'uuid'): MethodDecorator[] =>
  names.map(
    (name) => ApiParam({ name, schema: { type: 'string', ...(format && { format }) } }) as MethodDecorator,
  );

const REVISION = { description: 'the revision', schema: { type: 'string' as const } };

/** The scope that the routes of a tag need. */
const SCOPE_OF = {
  commands: 'write',
  queries: 'read',
  audit: 'audit',
  operation: 'operate',
} satisfies Record<string, Scope>;

interface Description {
  readonly summary: string;
  readonly tag: keyof typeof SCOPE_OF;
  /** Who may use the route, if not callers with the scope of the tag. */
  readonly access?: Access;
  /** Parts of the path: UUIDs, and other texts. */
  readonly ids?: readonly string[];
  readonly names?: readonly string[];
  readonly problems?: Problems;
}

/** The headers that say who acts, and why. */
export const DescribeActor = (): MethodDecorator =>
  applyDecorators(
    ApiHeader({
      name: 'X-Actor',
      description: 'who acts; percent-encoded UTF-8; default anonymous; with a token, its subject',
    }),
    ApiHeader({
      name: 'X-On-Behalf-Of',
      description: 'the person for whom the actor acts; percent-encoded UTF-8',
    }),
    ApiHeader({ name: 'Reason', description: 'why; percent-encoded UTF-8' }),
  );

/** Describes a command's route for OpenAPI. */
export function DescribeCommand(
  description: Omit<Description, 'tag' | 'access'> & {
    body?: Schema;
    query?: Schema<z.ZodObject>;
    creates?: boolean;
    /** The command's change goes on in other streams, and the answer can wait for its end. */
    waits?: boolean;
    /** The scope that a dry run needs besides, if the command has dry runs. */
    dryRun?: Scope;
    answer?: z.ZodType;
  },
): MethodDecorator {
  const { summary, ids, names, body, query, creates, waits } = description;
  const { answer = waits ? changeAnswer : commandAnswer, dryRun = SCOPE_OF.queries } = description;
  const headers = {
    position: { description: 'the position of the answer', schema: { type: 'string' as const } },
    etag: REVISION,
    ...(waits && {
      'preference-applied': {
        description: 'the preference that was heeded',
        schema: { type: 'string' as const },
      },
    }),
  };
  const content = { [JSON_TYPE]: { schema: outputSchema(answer) as never } };
  return applyDecorators(
    Access(SCOPE_OF.commands, namesOf(query).includes('dryRun') ? dryRun : undefined),
    Offers({ query: namesOf(query), produces: [JSON_TYPE] }),
    ApiOperation({ summary, tags: ['commands'] }),
    ...parameters(names),
    ...parameters(ids, 'uuid'),
    ...queryParameters(query),
    ...(body ? [ApiBody({ schema: inputSchema(body) as never })] : []),
    DescribeActor(),
    ApiHeader({ name: 'Idempotency-Key', description: 'makes the command safe to repeat' }),
    ApiHeader({ name: 'X-Correlation-Id', description: 'the change that the command is part of' }),
    ApiHeader({ name: 'traceparent', description: 'W3C trace context' }),
    ...(waits
      ? [
          ApiHeader({
            name: 'Prefer',
            description: `wait=N: wait up to N seconds, ${MAX_WAIT_S} at most, for the end of the change`,
          }),
        ]
      : []),
    ApiHeader({ name: 'If-Match', description: 'the ETag that the resource must have; otherwise 412' }),
    ApiHeader({ name: 'If-None-Match', description: '*: only if the resource is not there; otherwise 412' }),
    ...(creates
      ? [
          ApiResponse({
            status: 201,
            description: 'created',
            content,
            headers: {
              ...headers,
              location: ADDRESS,
            },
          }),
        ]
      : []),
    ApiResponse({ status: 200, description: 'done, or nothing to change', content, headers }),
    DescribeProblems(OF_SCOPES, OF_COMMANDS, description.problems, {
      409: ['stream-not-understood'],
      410: ['stream-deleted'],
      412: ['revision-mismatch'],
      422: ['idempotency-key-reused'],
    }),
  );
}

/** Describes a query's route for OpenAPI. */
export function DescribeQuery(
  description: Description & {
    query?: Schema<z.ZodObject>;
    answer: z.ZodType;
    minPosition?: boolean;
    /** The answer has an ETag, and obeys conditions. */
    tagged?: boolean;
    ndjson?: boolean;
    status?: number;
  },
): MethodDecorator {
  const { summary, tag, ids, names, query, answer, minPosition, tagged, ndjson, status = 200 } = description;
  const schema = outputSchema(answer) as never;
  const access = description.access ?? SCOPE_OF[tag];
  return applyDecorators(
    Access(access),
    Offers({
      query: namesOf(query),
      produces: ndjson ? [JSON_TYPE, NDJSON] : [JSON_TYPE],
      ...(minPosition && { variesBy: ['Min-Position'] }),
    }),
    ApiOperation({ summary, tags: [tag] }),
    ...parameters(names),
    ...parameters(ids, 'uuid'),
    ...queryParameters(query),
    ...(minPosition
      ? [ApiHeader({ name: 'Min-Position', description: 'wait until the tables have reached this position' })]
      : []),
    ...(tagged
      ? [
          ApiHeader({ name: 'If-None-Match', description: 'the ETag of the answer that the client has' }),
          ApiHeader({ name: 'If-Match', description: 'the ETag that the answer must have; otherwise 412' }),
          ApiResponse({ status: 304, description: 'the client has the answer' }),
        ]
      : []),
    ApiResponse({
      status,
      description: 'the answer',
      ...(tagged && { headers: { etag: REVISION } }),
      content: {
        [JSON_TYPE]: { schema },
        ...(ndjson && { [NDJSON]: { schema: { type: 'string' } } }),
      },
    }),
    DescribeProblems(
      access === 'anyone' ? undefined : OF_SCOPES,
      description.problems,
      tagged ? { 412: ['revision-mismatch'] } : undefined,
    ),
  );
}

const namesOf = (query: Schema<z.ZodObject> | undefined): string[] =>
  query ? Object.keys(schemaFor(query, Schemas.ofAnyService).shape) : [];

/** The query parameters of a route. */
export const DescribeParameters = (query: Schema<z.ZodObject>): MethodDecorator =>
  applyDecorators(...queryParameters(query));

function queryParameters(query: Schema<z.ZodObject> | undefined): MethodDecorator[] {
  if (!query) return [];
  const { properties = {} } = inputSchema(query) as { properties?: Record<string, JsonSchema> };
  return Object.entries(properties).map(
    ([name, schema]) =>
      ApiQuery({
        name,
        required: false,
        schema,
        ...(typeof schema['description'] === 'string' && { description: schema['description'] }),
      }) as MethodDecorator,
  );
}
