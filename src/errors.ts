/**
 * Something that the operator of a service can mend: a setting, a busy port, a database that can't be reached, an
 * operation that was refused. Told in one line, without a stack.
 */
export class OperatorError extends Error {}
