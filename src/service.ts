import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import { AppModule } from './app.module.js';
import { AccessControl } from './access/access-control.js';
import { requireAccessControl, type Config } from './config.js';
import { OperatorError } from './errors.js';
import { clockWarning } from './event-store/clock.js';
import { controlAccess } from './http/access.js';
import { describeApi } from './http/open-api.js';
import { createAdapter } from './http/server.js';
import { followTls } from './http/tls.js';
import { createLogger } from './logger.js';
import { inTime, openResources } from './resources.js';

const SWEEP_MS = 50;

/** A running service. */
export interface Service {
  /** Base URL, such as `http://127.0.0.1:3000`; with TLS, `https://…`. */
  readonly url: string;
  /** For SQL clients. A password that was configured isn't shown; a password of the embedded server is our own. */
  readonly readerUrl: string;
  /** Made by this start, if the service takes tokens of its own and nobody has made one. To be shown once. */
  readonly firstToken: string | undefined;
  /** Lets requests in flight finish, for `shutdownGraceMs` at most, then closes everything that was opened. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts the service.
 * @param signal gives up the start, and closes what is open.
 * @throws OperatorError for errors that the operator can fix, such as a busy port or an unreachable database.
 */
export async function startService(config: Config, signal?: AbortSignal): Promise<Service> {
  requireAccessControl(config);
  // Followers log before there is an application.
  Logger.overrideLogger(createLogger(config));
  const resources = await openResources(config, signal);
  let access: AccessControl | undefined;
  const close = async () => {
    try {
      if (access) await inTime('access control', access.close());
    } finally {
      await resources.close();
    }
  };
  try {
    if (config.access)
      access = await AccessControl.open(resources.databaseUrl, config.access.provider, signal);
    const adapter = await createAdapter(config);
    controlAccess(adapter.getInstance<FastifyInstance>(), access?.authenticate);
    const app = await NestFactory.create<NestFastifyApplication>(AppModule.of(resources), adapter, {
      bodyParser: false,
      abortOnError: false,
    });
    describeApi(app);
    try {
      await app.init();
      // Fastify's own listen, because Nest's listen would also log the error that it throws.
      await adapter.getInstance<FastifyInstance>().listen({ port: config.port, host: config.host });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const where = `${config.host}:${config.port}`;
      throw new OperatorError(
        code === 'EADDRINUSE' ? `${where} is in use` : `can't listen on ${where}: ${message}`,
      );
    }
    void clockWarning(resources.store).then(
      (warning) => warning && new Logger('clock').warn(warning),
      () => undefined,
    );
    const { port } = app.getHttpServer().address() as AddressInfo;
    // Only a service that serves can show the token.
    const firstToken = await access?.firstToken();
    const host = config.host.includes(':') ? `[${config.host}]` : config.host;
    const server: Server = app.getHttpServer();
    const unfollowTls = config.tls && followTls(server, config.tls);
    const stop = async () => {
      unfollowTls?.();
      const grace = setTimeout(() => server.closeAllConnections(), config.shutdownGraceMs);
      // A connection becomes idle only after its last request, which may end during the shutdown.
      const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
      await app.close();
      clearInterval(sweep);
      clearTimeout(grace);
      await close();
    };
    return {
      url: `${config.tls ? 'https' : 'http'}://${host}:${port}`,
      readerUrl: resources.readerUrl,
      firstToken,
      stop,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
