/** What a refused command tells its caller: nothing was found, the state forbids it, or the request can't be meant. */
export type RefusalKind = 'not-found' | 'conflict' | 'unprocessable';

/** A command that a rule of the domain refuses. Subclasses are named after the rule. Nothing was changed. */
export abstract class DomainError extends Error {
  abstract readonly kind: RefusalKind;
  /** Stable, kebab-case name of the rule. */
  abstract readonly rule: string;
  /** JSON pointer to the part of the request that broke the rule. */
  pointer?: string;

  /** The same refusal, pointing at a part of the request. */
  at(pointer: string): this {
    this.pointer = pointer;
    return this;
  }
}
