import { Body, Injectable, mixin, Param, Query, type PipeTransform, type Type } from '@nestjs/common';
import type { z } from 'zod';
import { invalidRequest, type RequestError } from './problem.js';
import { schemaFor, Schemas, uuid, type Schema } from './schemas.js';

/**
 * The errors of a failed parse, each with the rule that is broken.
 * @param at converts a path inside the value to a pointer.
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

/** A pipe that checks a value against a schema. The schema may depend on the service. */
function checked(schema: Schema, at: (path: PropertyKey[]) => string): Type<PipeTransform> {
  @Injectable()
  class Check implements PipeTransform {
    private readonly schema: z.ZodType;

    constructor(schemas: Schemas) {
      this.schema = schemaFor(schema, schemas);
    }

    transform(value: unknown): unknown {
      const result = this.schema.safeParse(value);
      if (result.success) return result.data;
      throw invalidRequest(requestErrors(result.error, value, at));
    }
  }
  return mixin(Check);
}

/** The JSON body, checked against the schema. */
export const ValidBody = (schema: Schema): ParameterDecorator => Body(checked(schema, jsonPointer));

/** The query parameters, checked against the schema. */
export const ValidQuery = (schema: Schema): ParameterDecorator =>
  Query(checked(schema, (path) => `query/${path.join('/')}`));

/** A part of the path, checked against the schema. */
export const ValidParam = (name: string, schema: Schema): ParameterDecorator =>
  Param(
    name,
    checked(schema, () => `path/${name}`),
  );

/** A UUID in the path. */
export const IdParam = (name: string): ParameterDecorator => ValidParam(name, uuid);
