import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Server } from 'node:net';
import { createSecureContext, Server as TlsServer } from 'node:tls';
import { Logger } from '@nestjs/common';
import { OperatorError } from '../errors.js';

/** Files in PEM form: the certificate with those of its authorities, and its key. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Time between two looks at the files. A look at the time of change needs no signal, and works on every file system. */
const LOOK_MS = 1_000;

/** @throws if the files can't be read, or don't belong together. */
function read({ cert, key }: TlsFiles): Tls {
  const tls = { cert: readFileSync(cert), key: readFileSync(key) };
  createSecureContext(tls);
  return tls;
}

/** @throws OperatorError if the files can't be read, or don't belong together. */
export function readTls(files: TlsFiles): Tls {
  try {
    return read(files);
  } catch (error) {
    throw new OperatorError(`can't use TLS_CERT and TLS_KEY: ${(error as Error).message}`);
  }
}

/**
 * Takes a renewed certificate for new connections, as soon as both files belong together. Until then, the old one stays.
 * @returns ends the looks.
 */
export function followTls(server: Server, files: TlsFiles): () => void {
  const logger = new Logger('tls');
  const renew = () => {
    try {
      if (server instanceof TlsServer) server.setSecureContext(read(files));
      logger.log('the renewed certificate is in use');
    } catch (error) {
      logger.warn(`the old certificate stays in use: ${(error as Error).message}`);
    }
  };
  const paths = [files.cert, files.key];
  for (const path of paths) watchFile(path, { interval: LOOK_MS, persistent: false }, renew);
  return () => {
    for (const path of paths) unwatchFile(path, renew);
  };
}
