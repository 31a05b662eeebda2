/**
 * An error that the operator can fix: a wrong setting, a busy port, an unreachable database, a refused operation.
 * Reported in one line, without a stack.
 */
export class OperatorError extends Error {}
