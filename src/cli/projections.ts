import { OperatorError } from '../errors.js';

/**
 * The projections that an operator means: the named one, or all.
 * @throws OperatorError if there is no projection of this name.
 */
export function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  name: string | undefined,
): readonly T[] {
  const found = name === undefined ? all : all.filter((one) => one.name === name);
  if (found.length > 0) return found;
  const names = all.map((one) => one.name).join(' and ');
  throw new OperatorError(`there is no projection ${name}, only ${names}`);
}
