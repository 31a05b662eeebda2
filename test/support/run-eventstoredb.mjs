import { spawn } from 'node:child_process';

// `npm run test:eventstoredb`: against EVENTSTOREDB_URL, or against a container of its own where there is a container
// runtime. Arguments go to Jest.
const IMAGE = 'eventstore/eventstore:23.10.1-bookworm-slim';

const container = process.env.EVENTSTOREDB_URL ? undefined : await startContainer();
const jest = spawn(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
    'test/eventstoredb',
    ...process.argv.slice(2),
  ],
  { stdio: 'inherit', env: { ...process.env, ...(container && { EVENTSTOREDB_URL: container.url }) } },
);
jest.on('exit', async (code) => {
  await container?.stop();
  process.exitCode = code ?? 1;
});

async function startContainer() {
  const { GenericContainer, Wait } = await import('testcontainers');
  let started;
  try {
    started = await new GenericContainer(IMAGE)
      .withEnvironment({ EVENTSTORE_INSECURE: 'true', EVENTSTORE_TELEMETRY_OPTOUT: 'true' })
      // All that the image exposes: with fewer, podman's answer is one that is waited for in vain.
      .withExposedPorts(2113, 1113, 1112)
      .withWaitStrategy(Wait.forHttp('/health/live', 2113).forStatusCode(204))
      .withStartupTimeout(120_000)
      .start();
  } catch (error) {
    console.error(`EVENTSTOREDB_URL is not set, and no container could be started: ${error.message}`);
    process.exit(1);
  }
  return {
    url: `esdb://${started.getHost()}:${started.getMappedPort(2113)}?tls=false`,
    stop: () => started.stop({ timeout: 30_000 }),
  };
}
