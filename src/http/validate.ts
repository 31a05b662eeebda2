import { Body, Param, Query, type PipeTransform } from '@nestjs/common';
import { z } from 'zod';
import { ROLE_NAMES } from '../books/roles.js';
import { parsePosition } from '../event-store/event-store.js';
import { normaliseText } from '../text.js';
import { AS_OF_RULE, parseAsOf, type AsOf } from './as-of.js';
import { invalidRequest, type RequestError } from './problem.js';

/** A name, title or credit, as {@link normaliseText} wants it. */
export const text = z.string().transform((raw, context) => {
  const result = normaliseText(raw);
  if ('text' in result) return result.text;
  const { rule, detail } = result.problem;
  context.addIssue({ code: 'custom', message: detail, params: { rule } });
  return z.NEVER;
});

/** A UUID in its canonical lower case, since stream names compare by letter. */
export const uuid = z.uuid().transform((id) => id.toLowerCase());

/** A position that this log gave. */
export const position = z.string().transform((token, context) => {
  const parsed = parsePosition(token);
  if (parsed !== undefined) return parsed;
  context.addIssue({
    code: 'custom',
    message: 'must be a position that this log gave',
    params: { rule: 'position' },
  });
  return z.NEVER;
});

/** A time, or a position that this log gave. */
export const asOf = z.string().transform((text, context): AsOf => {
  const parsed = parseAsOf(text);
  if (parsed) return parsed;
  context.addIssue({ code: 'custom', message: AS_OF_RULE, params: { rule: 'as-of' } });
  return z.NEVER;
});

export const roles = z.array(z.enum(ROLE_NAMES)).min(1).max(ROLE_NAMES.length);

/**
 * The errors of a failed parse, a rule each.
 * @param at turns a path inside the value into a pointer.
 */
export function requestErrors(
  error: z.ZodError,
  input: unknown,
  at: (path: PropertyKey[]) => string,
): RequestError[] {
  return error.issues.flatMap((issue): RequestError[] => {
    const pointer = at(issue.path);
    const detail = issue.message;
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => ({
          pointer: at([...issue.path, key]),
          rule: 'unknown-field',
          detail: 'is not known here',
        }));
      case 'invalid_type': {
        const missing = issue.path.reduce(property, input) === undefined;
        return [
          missing ? { pointer, rule: 'required', detail: 'is required' } : { pointer, rule: 'type', detail },
        ];
      }
      case 'custom':
        return [{ pointer, rule: String(issue.params?.['rule'] ?? 'invalid'), detail }];
      case 'invalid_format':
        return [{ pointer, rule: issue.format, detail }];
      case 'invalid_value':
        return [{ pointer, rule: 'one-of', detail }];
      case 'too_big':
        return [{ pointer, rule: issue.origin === 'array' ? 'too-many' : 'too-large', detail }];
      case 'too_small':
        return [{ pointer, rule: issue.origin === 'array' ? 'too-few' : 'too-small', detail }];
      default:
        return [{ pointer, rule: 'invalid', detail }];
    }
  });
}

const property = (value: unknown, key: PropertyKey): unknown =>
  (Object(value) as Record<PropertyKey, unknown>)[key];

const jsonPointer = (path: PropertyKey[]) =>
  path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

class Validate<T> implements PipeTransform<unknown, T> {
  constructor(
    private readonly schema: z.ZodType<T>,
    private readonly at: (path: PropertyKey[]) => string,
  ) {}

  transform(value: unknown): T {
    const result = this.schema.safeParse(value);
    if (result.success) return result.data;
    throw invalidRequest(requestErrors(result.error, value, this.at));
  }
}

/** The JSON body, checked against the schema. */
export const ValidBody = (schema: z.ZodType): ParameterDecorator => Body(new Validate(schema, jsonPointer));

/** The query parameters, checked against the schema. */
export const ValidQuery = (schema: z.ZodType): ParameterDecorator =>
  Query(new Validate(schema, (path) => `query/${path.join('/')}`));

/** A UUID in the path. */
export const IdParam = (name: string): ParameterDecorator =>
  Param(name, new Validate(uuid, () => `path/${name}`));
