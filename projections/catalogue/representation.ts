import { hash } from 'node:crypto';
import { entityTag } from '../../src/http/entity-tags.js';
import { Json } from '../../src/http/json.js';

/** What the tag of an answer without inclusions covers: a revision shows the same in every answer, but for the mark. */
export interface Shown {
  readonly revision: string;
  readonly stale?: boolean | undefined;
}

/** An answer about one resource, with its entity tag. */
export interface Representation<View> {
  readonly tag: string;
  readonly json: Json<View>;
}

export const tagOf = ({ revision, stale }: Shown): string =>
  stale ? entityTag(revision, 'stale') : entityTag(revision);

/** @param included whether the answer shows other resources, which have revisions of their own. */
export const represent = <View>(shown: Shown, json: string, included: boolean): Representation<View> => ({
  tag: included ? entityTag(shown.revision, hash('sha1', json, 'base64url')) : tagOf(shown),
  json: new Json(json),
});
