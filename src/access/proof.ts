import type { JWTPayload } from 'jose';
import { SCOPES, type KnownCaller } from '../http/access.js';
import { MAX_ACTOR_LENGTH } from '../http/request-context.js';
import { normaliseText } from '../text.js';

/** Clocks of the instances and of the issuer may differ so much, in seconds. */
export const CLOCK_TOLERANCE_S = 5;

/** Marks that render as nothing, or turn the direction of the text around them: two subjects would look the same. */
const UNSEEN = /\p{Cf}/u;

/** Whether an event can name the subject as its actor, and no other subject looks the same or becomes the same actor. */
export function isSubject(text: string): boolean {
  const plain = normaliseText(text, MAX_ACTOR_LENGTH);
  return 'text' in plain && plain.text === text && !UNSEEN.test(text);
}

/**
 * The caller whom claims prove. Signature, issuer, audience and times were verified. Scopes that Colophon doesn't know
 * don't count.
 * @param isRevoked whether the token was taken back since.
 * @returns undefined if the subject can't be an actor.
 */
export function callerOf(
  { sub, exp, scope, scp }: JWTPayload,
  isRevoked: () => boolean,
): KnownCaller | undefined {
  if (sub === undefined || exp === undefined || !isSubject(sub)) return undefined;
  // A list, or one text with blanks: providers differ, in the name of the claim too.
  const given = [scope, scp].flat().flatMap((claim) => (typeof claim === 'string' ? claim.split(' ') : []));
  const scopes = SCOPES.filter((one) => given.includes(one));
  const isValid = () => exp > Date.now() / 1_000 - CLOCK_TOLERANCE_S && !isRevoked();
  return { subject: sub, scopes, verified: true, isValid };
}
