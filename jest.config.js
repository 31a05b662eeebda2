import { availableParallelism } from 'node:os';

// Tests of the EventStoreDB side need a server: `EVENTSTOREDB_URL`, or `npm run test:eventstoredb`, which starts one.
const withEventStoreDb = process.env.EVENTSTOREDB_URL ? [] : ['<rootDir>/test/eventstoredb/'];

// Tests wait for servers more than they compute. On two cores, Jest would run one file at a time.
const maxWorkers = Math.max(2, availableParallelism() - 1);

/** Native ES modules, compiled by swc with the decorator metadata that Nest reads. */
export default {
  maxWorkers,
  testEnvironment: 'node',
  roots: ['<rootDir>/src', '<rootDir>/projections', '<rootDir>/test'],
  testMatch: ['**/*.spec.ts', '**/*-spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', ...withEventStoreDb],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
        module: { type: 'es6' },
      },
    ],
  },
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  setupFiles: ['<rootDir>/test/support/quiet.ts'],
  testTimeout: 120_000,
};
