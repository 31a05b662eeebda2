import { z } from 'zod';
import { MOMENT_RULE, parseMoment, type Moment } from '../event-store/moment.js';
import type { Position } from '../event-store/event-store.js';
import { PositionTokens } from '../event-store/position-token.js';
import { MAX_TEXT_LENGTH, normaliseText } from '../text.js';

/** A UUID in its canonical lower case, since stream names compare by letter. */
export const uuid = z.uuid().transform((id) => id.toLowerCase());

/** `true` or `false` in an address. */
export const flag = z.enum(['true', 'false']).transform((value) => value === 'true');

/** How many items a page has at most, in an address. */
export const pageSize = (largest: number, fallback: number) =>
  z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(1).max(largest))
    .default(fallback);

/** Schemas of values whose rules a service sets: its longest text, and its log, whose positions it takes. */
export class Schemas {
  /** As the API is described, for any service. */
  static readonly ofAnyService = new Schemas(MAX_TEXT_LENGTH, new PositionTokens(''));

  /** A name, title or credit, as {@link normaliseText} wants it. */
  readonly text: z.ZodType<string, string>;
  /** A position that this log gave. */
  readonly position: z.ZodType<Position, string>;
  /** A time, or a position that this log gave. */
  readonly moment: z.ZodType<Moment, string>;

  constructor(maxTextLength: number, tokens: PositionTokens) {
    this.text = z.string().transform((raw, context) => {
      const result = normaliseText(raw, maxTextLength);
      if ('text' in result) return result.text;
      return refuse(context, result.problem.rule, result.problem.detail);
    });
    this.position = z.string().transform((token, context) => {
      const parsed = tokens.parse(token);
      return parsed ?? refuse(context, 'position', 'must be a position that this log gave');
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

/** A schema, or one that takes what it needs from the service's own. */
export type Schema<T extends z.ZodType = z.ZodType> = T | ((schemas: Schemas) => T);

/** What a {@link Schema} lets through. */
export type Valid<S extends Schema> = S extends (schemas: Schemas) => infer T
  ? z.output<T>
  : S extends z.ZodType
    ? z.output<S>
    : never;

export const schemaFor = <T extends z.ZodType>(schema: Schema<T>, schemas: Schemas): T =>
  typeof schema === 'function' ? schema(schemas) : schema;
