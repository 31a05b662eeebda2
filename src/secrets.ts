const HIDDEN = '***';

/**
 * Everything between the user's name and the last `@` of a URL. A password that isn't percent-encoded may hold `/`, `@`
 * and `:`. So the last `@` counts, even if a harmless part of the text is then hidden too. In JSON, an unescaped quote
 * ends the text. Paths of source files in a stack aren't touched.
 */
const IN_TEXT = /\b(?!file:)([a-z][a-z\d+.-]*:\/\/[^\s:"\\]*):(?:[^\s"\\]|\\.)*@/gi;
const IN_URL = /^([a-z][a-z\d+.-]*:\/\/[^:]*):.*@/is;
/** `?password=…` in a URL, `password=…` in a connection string of libpq, `PGPASSWORD=…` in an environment. */
const AS_PARAMETER = /(password\s?=\s?)(?:'(?:[^'\\]|\\.)*'|[^\s&"'\\]+)/gi;

/** The text without the passwords in it: in URLs of any kind, and in `password=…`. For output, logs and errors. */
export function hideSecrets(text: string): string {
  return text.replace(IN_TEXT, `$1:${HIDDEN}@`).replace(AS_PARAMETER, `$1${HIDDEN}`);
}

/** Like {@link hideSecrets} for a text that is one URL, well-formed or not: the password may hold blanks and quotes too. */
export function hidePassword(url: string): string {
  return hideSecrets(url.replace(IN_URL, `$1:${HIDDEN}@`));
}
