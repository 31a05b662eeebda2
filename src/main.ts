import 'reflect-metadata';
import { loadConfig } from './config.js';
import { OperatorError } from './errors.js';
import { startService } from './service.js';

const PARENT_CHECK_MS = 250;

try {
  const starting = startService(loadConfig());
  let stopping: Promise<unknown> | undefined;
  // A signal during the start waits for the end of the start. Otherwise the embedded server would be left running.
  const stop = () => {
    stopping ??= starting
      .then((service) => service.stop())
      .catch((error: unknown) => {
        console.error(error);
        process.exitCode = 1;
      })
      .finally(() => process.exit());
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  // `npm start` runs us through a shell, which dies of SIGTERM without passing the signal on. So watch the shell.
  const parent = process.ppid;
  if (process.env['npm_lifecycle_event'] === 'start')
    setInterval(() => process.ppid === parent || stop(), PARENT_CHECK_MS).unref();
  const service = await starting;
  process.stdout.write(
    `Colophon serves at ${service.url}\n` +
      `  API docs     ${service.url}/docs\n` +
      `  SQL clients  ${service.databaseUrl} (schema catalogue)\n`,
  );
} catch (error) {
  if (!(error instanceof OperatorError)) throw error;
  process.stderr.write(`colophon: ${error.message}\n`);
  process.exit(1);
}
