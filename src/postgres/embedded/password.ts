import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperatorError } from '../../errors.js';

const BYTES = 18;

/** The owner's password, created once per data folder. Only the user of this process can read the file. */
export function passwordOf(dataDir: string): string {
  const file = join(dataDir, 'password');
  const fresh = `${file}.${randomUUID()}`;
  try {
    writeFileSync(fresh, randomBytes(BYTES).toString('hex'), { mode: 0o600 });
    // Fails if the file exists, and never shows a half-written file.
    linkSync(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new OperatorError(`DATA_DIR ${dataDir} isn't writable`, { cause: error });
  } finally {
    rmSync(fresh, { force: true });
  }
  return readFileSync(file, 'utf8');
}

/** The password of another login. Follows from the owner's password, and tells nothing about any other password. */
export const passwordOfRole = (role: string, ownersPassword: string): string =>
  createHmac('sha256', ownersPassword).update(role).digest().subarray(0, BYTES).toString('hex');
