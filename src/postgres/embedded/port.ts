import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { OperatorError } from '../../errors.js';

/** The same port at every start, so that SQL clients keep their address. Another port if this port is taken. */
export async function choosePort(dataDir: string): Promise<number> {
  const file = join(dataDir, 'port');
  const before = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  const port = (before > 0 && (await freePort(before))) || (await freePort(0));
  if (!port) throw new OperatorError('no free port for the embedded PostgreSQL');
  writeFileSync(file, `${port}\n`);
  return port;
}

function freePort(wanted: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const probe = createServer()
      .once('error', () => resolve(undefined))
      .listen(wanted, '127.0.0.1', () => {
        const address = probe.address();
        probe.close(() => resolve(typeof address === 'object' && address ? address.port : undefined));
      });
  });
}
