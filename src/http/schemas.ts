import { z } from 'zod';
import { MOMENT_RULE, parseMoment, type Moment } from '../event-store/moment.js';
import type { Position } from '../event-store/event-store.js';
import { PositionTokens } from '../event-store/position-token.js';
import { MAX_TEXT_LENGTH, normaliseText, normaliseTitle, type Title } from '../text.js';

// The forms that PostgreSQL's type `uuid` takes.
const DIGITS = '[0-9a-fA-F]{4}(?:-?[0-9a-fA-F]{4}){7}';
const UUID_FORMS = new RegExp(`^(?:${DIGITS}|\\{${DIGITS}\\})$`);

/**
 * A UUID of any version or none, as PostgreSQL takes it. In the canonical form after parsing, because comparison of
 * stream names is exact.
 */
export const uuid = z
  .stringFormat('uuid', UUID_FORMS)
  .transform(canonical)
  .describe('32 hexadecimal digits; upper case, braces and missing hyphens make no difference');

function canonical(id: string): string {
  const digits = id.replace(/[{}-]/g, '').toLowerCase();
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** An id in an answer, in the canonical form. */
export const canonicalUuid = z.guid();

/** `true` or `false` as a query parameter. */
export const flag = z.enum(['true', 'false']).transform((value) => value === 'true');

/** The largest number of items on a page, as a query parameter. */
export const pageSize = (largest: number, fallback: number) =>
  z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(1).max(largest))
    .default(fallback);

/** A list. The length is checked before the items, because a body of 1 MiB can have 500,000 items, each with an error. */
export const list = <Item extends z.ZodType>(item: Item, { min = 0, max }: { min?: number; max: number }) =>
  z.preprocess((value, context) => {
    if (!Array.isArray(value) || value.length <= max) return value;
    context.addIssue({ code: 'too_big', origin: 'array', maximum: max, inclusive: true, input: value });
    return z.NEVER;
  }, z.array(item).min(min).max(max));

/** Schemas that depend on the running service: on its longest text, and on its log, which gives the positions. */
export class Schemas {
  /** For the API's description, which holds for every service. */
  static readonly ofAnyService = new Schemas(MAX_TEXT_LENGTH, new PositionTokens(''));

  /** A name, title or credit, normalised by {@link normaliseText}. */
  readonly text: z.ZodType<string, string>;
  /** The title of a book, normalised by {@link normaliseTitle}. */
  readonly title: z.ZodType<Title, string>;
  /** A position of this log. */
  readonly position: z.ZodType<Position, string>;
  /** A time, or a position of this log. */
  readonly moment: z.ZodType<Moment, string>;

  constructor(maxTextLength: number, tokens: PositionTokens) {
    this.text = z.string().transform((raw, context) => {
      const result = normaliseText(raw, maxTextLength);
      if ('text' in result) return result.text;
      return refuse(context, result.problem.rule, result.problem.detail);
    });
    this.title = z.string().transform((raw, context) => {
      const result = normaliseTitle(raw, maxTextLength);
      if ('title' in result) return result;
      return refuse(context, result.problem.rule, result.problem.detail);
    });
    this.position = z.string().transform((token, context) => {
      const parsed = tokens.parse(token);
      return parsed ?? refuse(context, 'position', 'must be a position of this log');
    });
    this.moment = z
      .string()
      .transform((text, context) => parseMoment(text, tokens) ?? refuse(context, 'as-of', MOMENT_RULE));
  }
}

function refuse(context: z.RefinementCtx, rule: string, message: string): never {
  context.addIssue({ code: 'custom', message, params: { rule } });
  return z.NEVER;
}

/** A schema, or a function that builds the schema from the service's schemas. */
export type Schema<T extends z.ZodType = z.ZodType> = T | ((schemas: Schemas) => T);

/** The type of a {@link Schema}'s parsed values. */
export type Valid<S extends Schema> = S extends (schemas: Schemas) => infer T
  ? z.output<T>
  : S extends z.ZodType
    ? z.output<S>
    : never;

export const schemaFor = <T extends z.ZodType>(schema: Schema<T>, schemas: Schemas): T =>
  typeof schema === 'function' ? schema(schemas) : schema;
