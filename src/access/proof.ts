import type { JWTPayload } from 'jose';
import { SCOPES, type KnownCaller } from '../http/access.js';
import { MAX_ACTOR_LENGTH } from '../http/request-context.js';
import { normaliseText } from '../text.js';

/** Clocks of the instances and of the issuer may differ so much, in seconds. */
export const CLOCK_TOLERANCE_S = 5;

/** What a verified token proves. */
export interface Proof {
  readonly caller: KnownCaller;
  /** Whether Colophon signed the token itself, so that Colophon can revoke the token. */
  readonly local: boolean;
  /** `jti`, if the token has one. */
  readonly id: string | undefined;
  /** `exp`: seconds since 1970. */
  readonly expiresAt: number;
}

/**
 * Reads claims whose signature, issuer, audience and times were verified. Scopes that Colophon doesn't know don't count.
 * @returns undefined if the subject can't be an actor.
 */
export function proofOf({ sub, exp, jti, scope, scp }: JWTPayload, local: boolean): Proof | undefined {
  if (sub === undefined || exp === undefined) return undefined;
  const subject = normaliseText(sub, MAX_ACTOR_LENGTH);
  // Two subjects must not become one actor.
  if ('problem' in subject || subject.text !== sub) return undefined;
  const given = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scp) ? scp : [];
  const scopes = SCOPES.filter((one) => given.includes(one));
  return { caller: { subject: sub, scopes, verified: true }, local, id: jti, expiresAt: exp };
}
