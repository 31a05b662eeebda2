import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { loadConfig } from './config.js';
import { OperatorError } from './errors.js';
import { stackOf } from './postgres/errors.js';
import { beginProgram, hideSecretsIn, Interrupted, whenAborted } from './program.js';
import { startService } from './service.js';

const PARENT_CHECK_MS = 250;
/** Longest time between the end of the service and the end of the process. */
const LAST_WORDS_MS = 2_000;

hideSecretsIn(process.stderr);
const print = hideSecretsIn(process.stdout);
const logger = new Logger('process');
const stop = beginProgram((what, error) => logger.error(what, stackOf(error)));

// `npm start` runs us through a shell, which dies of SIGTERM without passing the signal on. So watch the shell.
const parent = process.ppid;
if (process.env['npm_lifecycle_event'] === 'start')
  setInterval(
    () => process.ppid === parent || stop.abort(new Interrupted('SIGTERM')),
    PARENT_CHECK_MS,
  ).unref();

try {
  const config = loadConfig();
  const service = await startService(config, stop.signal);
  print(
    `Colophon serves at ${service.url}\n` +
      `  API docs     ${service.url}/docs\n` +
      `  SQL clients  ${service.readerUrl} (schema ${config.catalogueSchema})\n` +
      (service.firstToken === undefined ? '' : `  First token  ${service.firstToken} (shown only now)\n`),
  );
  await whenAborted(stop.signal);
  await service.stop();
  stop.signal.throwIfAborted();
} catch (error) {
  // An exception that nobody caught has been told.
  const told = error === stop.signal.reason;
  if (!told)
    process.stderr.write(`colophon: ${error instanceof OperatorError ? error.message : stackOf(error)}\n`);
  if (!(error instanceof Interrupted)) process.exit(1);
  // All is closed, so the process ends by itself. Whoever listens to `beforeExit`, such as an SDK for traces, may finish.
  setTimeout(() => process.exit(0), LAST_WORDS_MS).unref();
}
