/** An author whose place in a command was taken: the author `from` was merged, and `to` is the last survivor. */
export interface Redirect {
  readonly from: string;
  readonly to: string;
}
