import { z } from 'zod';
import { MAX_LISTED } from '../books/book.js';
import { role } from '../books/role-schemas.js';
import { ROLES, roleSet, type Role } from '../books/roles.js';
import { shorten } from '../http/problem.js';
import { list, type Schemas } from '../http/schemas.js';
import { requestErrors } from '../http/validate.js';
import { MAX_KEY_LENGTH } from '../stored-data.js';
import { isBlank } from '../text.js';

/** Converters of tables write `3` for a key, and `1984` for a title. A number that JSON changed has lost its digits. */
const orNumber = <Text extends z.ZodType>(text: Text) =>
  z.preprocess((value, context) => {
    if (typeof value !== 'number') return value;
    if (Number.isSafeInteger(value)) return String(value);
    const message = 'must be text: as a number, only whole numbers up to 9007199254740991 are exact';
    context.addIssue({ code: 'custom', message, params: { rule: 'inexact-number' } });
    return z.NEVER;
  }, text);

/** A key of the source, such as `gutenberg:3`. Ids are derived from keys, so a source must never change a key. */
const key = orNumber(
  z
    .string()
    .min(1)
    .max(MAX_KEY_LENGTH)
    .refine(
      (value) => value.isWellFormed() && !/\p{Cc}/u.test(value),
      'must be text without control characters',
    ),
);

const ROLE_OF_CODE = new Map(
  Object.entries(ROLES).flatMap(([name, { marc, onix }]) =>
    [name, marc, onix].map((code): [string, Role] => [code.toLowerCase(), name as Role]),
  ),
);
// Codes that MARC has for the same, from the time before it told introductions from forewords.
ROLE_OF_CODE.set('aui', 'introduction').set('aft', 'afterword');
/** A code of either vocabulary for a role that Colophon does not tell apart. */
const OTHER_CODE = /^(?:[a-z]{3}|[A-Z]\d\d)$/;
/** A role by its name or by its code in MARC or ONIX, in any case. */
const anyRole = z.preprocess((value) => {
  if (typeof value !== 'string') return value;
  const code = value.trim();
  return ROLE_OF_CODE.get(code.toLowerCase()) ?? (OTHER_CODE.test(code) ? 'contributor' : value);
}, role);

/** For a field that may be missing, null and blank text mean the same as no field. */
const importLine = ({ text, title }: Schemas) => {
  const link = z.strictObject({
    author: key,
    roles: list(anyRole, { max: 100 }).transform(roleSet).nullish(),
    creditedAs: z
      .preprocess(
        (value) => (typeof value === 'string' && isBlank(value) ? null : value),
        orNumber(text.nullable()),
      )
      .optional(),
  });
  return z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('author'), key, name: orNumber(text) }),
    z.strictObject({
      type: z.literal('book'),
      key,
      title: orNumber(title),
      authors: list(link, { max: MAX_LISTED }).nullish(),
    }),
  ]);
};

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
  const { key: given } = Object(value) as { key?: unknown };
  throw new MalformedLine(
    first?.rule ?? 'invalid',
    shorten(`${first?.pointer || 'the line'} ${first?.detail}`),
    typeof given === 'string' && given.isWellFormed()
      ? given.slice(0, MAX_KEY_LENGTH)
      : Number.isSafeInteger(given)
        ? String(given)
        : null,
  );
}
