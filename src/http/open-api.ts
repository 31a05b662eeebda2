import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';
import { TOKEN } from './access.js';
import { JSON_TYPE } from './media-types.js';

const DOCUMENT = '/docs/openapi.json';

/** Describes every route, as pages at `/docs` and as JSON at `/docs/openapi.json`. */
export function describeApi(app: INestApplication): OpenAPIObject {
  const options = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Colophon')
    .setDescription('The event-sourced system of record for authors and books.')
    .setVersion('1')
    .addBearerAuth({ type: 'http', bearerFormat: 'JWT', description: 'only with access control' }, TOKEN)
    .addTag('commands')
    .addTag('queries')
    .addTag('audit')
    .addTag('operation')
    .addGlobalParameters({
      name: 'X-Request-Id',
      in: 'header',
      description: 'the id of the request, up to 128 of A-Z a-z 0-9 _ . + / = : -; every answer has it',
      schema: { type: 'string' },
    })
    .build();
  const document = SwaggerModule.createDocument(app, options, {
    operationIdFactory: (_controller, method) => method,
  });
  serveDocument(app.getHttpAdapter().getInstance() as FastifyInstance, document);
  // The page asks for the description. The module would put a copy into each page.
  const inNoPage = () => undefined as unknown as OpenAPIObject;
  SwaggerModule.setup('docs', app, inNoPage, { raw: false, swaggerUrl: DOCUMENT });
  return document;
}

/** Anybody may ask, so all answers share one buffer, however many are not read. */
export function serveDocument(fastify: FastifyInstance, document: object): void {
  const json = Buffer.from(JSON.stringify(document));
  fastify.get(DOCUMENT, (_request, reply) => reply.type(JSON_TYPE).send(json));
}
