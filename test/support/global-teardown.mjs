import { rmSync } from 'node:fs';

export default async function teardown() {
  if (!globalThis.testServer) return;
  const { server, folder } = globalThis.testServer;
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
