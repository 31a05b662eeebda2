import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Whether `openssl` is there, which makes certificates. */
export const canMakeCertificates = (): boolean => spawnSync('openssl', ['version']).status === 0;

/** Makes an authority (`ca.crt`) and a certificate by it for this machine (`node.crt`, `node.key`), good for two days. */
export function makeCertificates(folder: string): void {
  const openssl = (line: string) =>
    execFileSync('openssl', line.split(' '), { cwd: folder, stdio: 'ignore' });
  writeFileSync(
    join(folder, 'names'),
    'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n',
  );
  openssl('req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt');
  openssl('req -newkey rsa:2048 -nodes -subj /CN=eventstoredb-node -keyout node.key -out node.csr');
  openssl(
    'x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out node.crt',
  );
}
