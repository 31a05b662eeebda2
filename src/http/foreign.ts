import { isIPv4, isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { Problem } from './problem.js';

export interface KnownNames {
  /** The address or name that the service listens on. */
  readonly host: string;
  /** Further names of the service, in lower case; `*` for any name. */
  readonly allowedHosts: readonly string[];
  /** Further origins of pages that may command, as browsers write origins. */
  readonly allowedOrigins: readonly string[];
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Protects services that only a network protects, against pages that a browser inside that network shows.
 * - The name by which the client calls the service must be known. A page can't rebind an IP address or a loopback
 *   name to another server, so these are always known.
 * - A page of another origin can't command. `Sec-Fetch-Site` comes first, because a proxy may have changed `Host`.
 * @returns a check that throws Problem 421 or 403.
 */
export function refuseForeign(known: KnownNames): (request: FastifyRequest) => void {
  const names = new Set([known.host.toLowerCase(), ...known.allowedHosts]);
  const origins = new Set(known.allowedOrigins);
  const isOurs = (name: string) =>
    names.has(name) || names.has('*') || isAddress(name) || /^(.+\.)?localhost$/.test(name);

  let lastKnown = '';

  return ({ method, url, headers }) => {
    // A request in absolute form names the host in the URL, and `Host` doesn't count (RFC 9112 §3.2.2).
    const absolute = url.startsWith('/') ? undefined : /^https?:\/\/([^/?#]*)/i.exec(url)?.[1];
    const authority = absolute ?? headers.host ?? '';
    // Only clients of HTTP/1.0 send no host, and no browser is one.
    if (authority !== '' && authority !== lastKnown && !isOurs(nameOf(authority)))
      throw new Problem(
        421,
        'foreign-host',
        'The service does not go by this host name; ALLOWED_HOSTS can add the name.',
      );
    // Most requests name the same host as the one before.
    lastKnown = authority;
    if (!SAFE.has(method) && !mayCommand(headers, authority, origins))
      throw new Problem(
        403,
        'foreign-origin',
        'A page of another origin can not send commands; ALLOWED_ORIGINS can add the origin.',
      );
  };
}

/** The host name without port, in lower case and without the final dot. */
const nameOf = (authority: string): string => authority.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');

const isAddress = (name: string): boolean =>
  isIPv4(name) || (name.startsWith('[') && name.endsWith(']') && isIPv6(name.slice(1, -1)));

function mayCommand(
  headers: FastifyRequest['headers'],
  authority: string,
  origins: ReadonlySet<string>,
): boolean {
  const { origin, 'sec-fetch-site': site } = headers;
  if (origin !== undefined && origins.has(origin.toLowerCase())) return true;
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  return origin === undefined || isSameHost(origin, authority);
}

/** The scheme doesn't count: a proxy may have ended TLS. */
function isSameHost(origin: string, authority: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host } = new URL(origin);
  const asked = `${protocol}//${authority}`;
  return host !== '' && URL.canParse(asked) && new URL(asked).host === host;
}
