import { BlockList, isIP } from 'node:net';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether only this machine can reach a host. Of names, only `localhost`: another may be at any address. */
export function isLoopback(host: string): boolean {
  const plain = host.replace(/^\[(.*)\]$/, '$1');
  const version = isIP(plain);
  if (version === 0) return plain.toLowerCase() === 'localhost';
  return LOOPBACK.check(plain, version === 4 ? 'ipv4' : 'ipv6');
}

/** Whether nobody else on the network can read or change what goes to and from the URL. */
export function isSafeUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname));
}
