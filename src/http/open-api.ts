import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { TOKEN } from './access.js';

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
  SwaggerModule.setup('docs', app, document, { jsonDocumentUrl: 'docs/openapi.json', raw: ['json'] });
  return document;
}
