import { z } from 'zod';
import { MAX_AUTHORS } from '../books/book.js';
import { roles } from '../books/role-schemas.js';
import { shorten } from '../http/problem.js';
import { list, type Schemas } from '../http/schemas.js';
import { requestErrors } from '../http/validate.js';

/** A key of the source, such as `gutenberg:3`. Ids are derived from keys, so a source must never change a key. */
const key = z
  .string()
  .min(1)
  .max(255)
  .refine(
    (value) => value.isWellFormed() && !/\p{Cc}/u.test(value),
    'must be text without control characters',
  );

const importLine = ({ text }: Schemas) =>
  z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('author'), key, name: text }),
    z.strictObject({
      type: z.literal('book'),
      key,
      title: text,
      authors: list(
        z.strictObject({ author: key, roles: roles.optional(), creditedAs: text.nullable().optional() }),
        { max: MAX_AUTHORS },
      ).optional(),
    }),
  ]);

/** The author or book that a line wants in the catalogue. */
export type ImportLine = z.output<ReturnType<typeof importLine>>;

/** A line that can't be parsed. `rule` names the broken rule; the message says which field. */
export class MalformedLine extends Error {
  constructor(
    readonly rule: string,
    message: string,
    /** The line's key, null if the line has none. */
    readonly key: string | null = null,
  ) {
    super(message);
  }
}

/** @throws MalformedLine */
export type LineParser = (line: string) => ImportLine;

export function lineParser(schemas: Schemas): LineParser {
  const schema = importLine(schemas);
  return (line) => parse(schema, line);
}

function parse(schema: z.ZodType<ImportLine>, line: string): ImportLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new MalformedLine('malformed-json', `not JSON: ${(error as Error).message}`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [first] = requestErrors(result.error, value, (path) =>
    path.map((part) => `/${String(part)}`).join(''),
  );
  const given = (Object(value) as { key?: unknown }).key;
  throw new MalformedLine(
    first?.rule ?? 'invalid',
    shorten(`${first?.pointer || 'the line'} ${first?.detail}`),
    typeof given === 'string' && given.isWellFormed() ? given.slice(0, 255) : null,
  );
}
