import type { LogLevel } from '@nestjs/common';
import type { Config } from './config.js';
import { createLogger } from './logger.js';

const ALL: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

const shownAt: readonly [Config['logLevel'], number][] = [
  ['silent', 0],
  ['fatal', 1],
  ['error', 2],
  ['warn', 3],
  ['info', 3],
  ['debug', 5],
  ['trace', 6],
];

test.each(shownAt)('at %s, the first %d kinds of log lines are shown', (logLevel, count) => {
  const logger = createLogger({ logLevel });
  expect(ALL.filter((level) => logger.isLevelEnabled(level))).toEqual(ALL.slice(0, count));
});
