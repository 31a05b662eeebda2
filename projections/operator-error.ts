/** What an operator asked for can't be done, for a reason that can be told in a line. */
export class OperatorError extends Error {}
