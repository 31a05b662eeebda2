/** Kinds of refusal: the resource doesn't exist, its state forbids the command, or the request makes no sense. */
export type RefusalKind = 'not-found' | 'conflict' | 'unprocessable';

/** A rule of the domain refuses the command. Subclasses are named after the rule. Nothing was changed. */
export abstract class DomainError extends Error {
  abstract readonly kind: RefusalKind;
  /** Stable, kebab-case name of the rule. */
  abstract readonly rule: string;
  /** JSON pointer to the part of the request that breaks the rule. */
  pointer?: string;
  /** What a program needs to go on, by the names of the problem's members: such as the id of a survivor. */
  readonly members: Readonly<Record<string, string>> = {};

  /** Sets the pointer to the part of the request, and returns this error. */
  at(pointer: string): this {
    this.pointer = pointer;
    return this;
  }
}
