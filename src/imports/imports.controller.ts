import type { OutgoingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Controller, HttpCode, Logger, Post, Req, Res } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiHeader, ApiOperation, ApiResponse } from '@nestjs/swagger';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Access } from '../http/access.js';
import { DescribeActor, DescribeParameters, DescribeProblems, OF_SCOPES } from '../http/describe.js';
import { NDJSON, unsupportedType } from '../http/media-types.js';
import { idsOf, REQUEST_ID } from '../http/observe.js';
import { Offers } from '../http/offer.guard.js';
import { readContext } from '../http/request-context.js';
import { invalidRequest, Problem, unavailable } from '../http/problem.js';
import { flag, type Valid } from '../http/schemas.js';
import { ValidQuery } from '../http/validate.js';
import { inWords } from '../postgres/errors.js';
import { Importer } from './importer.js';
import { PatientWriter } from './patient-writer.js';

const query = z.strictObject({
  dryRun: flag.optional().describe('true: only say what each line would do; write nothing'),
});

@Controller('imports')
export class ImportsController {
  private readonly logger = new Logger('imports');

  constructor(private readonly importer: Importer) {}

  @Post()
  @HttpCode(200)
  @Access('write', 'read')
  @RouteConfig({ streams: true })
  @Offers({ query: Object.keys(query.shape), produces: [NDJSON] })
  @ApiOperation({
    summary:
      'Import authors and books, one JSON object a line; answers one result a line, in order, as lines finish',
    tags: ['commands'],
  })
  @ApiConsumes(NDJSON)
  @DescribeParameters(query)
  @ApiHeader({
    name: 'Content-Encoding',
    description: 'gzip or identity; a body that begins like gzip data is inflated, whatever the header says',
  })
  @ApiBody({ schema: { type: 'string' }, required: true })
  @DescribeActor()
  @ApiResponse({
    status: 200,
    description:
      'one result a line: number of the line, key, id, status (added, changed, unchanged or failed), ' +
      'error (if failed), changes (types of events, if a dry run would change something), ' +
      'redirected (if the line names merged authors: from and to)',
    content: { [NDJSON]: { schema: { type: 'string' } } },
  })
  @DescribeProblems(OF_SCOPES, { 403: ['foreign-origin', 'foreign-actor'], 415: ['unsupported-media-type'] })
  async importLines(
    @ValidQuery(query) { dryRun }: Valid<typeof query>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const body = request.body as Readable | undefined;
    if (typeof body?.pipe !== 'function') throw unsupportedType(request.routeOptions.config);
    for (const name of ['Idempotency-Key', 'If-Match', 'If-None-Match'])
      if (request.headers[name.toLowerCase()] !== undefined)
        throw invalidRequest([
          {
            pointer: `header/${name}`,
            rule: 'not-applicable',
            detail: 'does not apply: an import is always safe to repeat',
          },
        ]);
    // An import that ends before its body tells why first. Then nobody reads the rest, which may never end.
    const lines = body.iterator({ destroyOnReturn: false });
    const results = this.importer.run(lines, readContext(request), dryRun, request.caller.isValid);
    const out = reply.raw;
    out.once('close', () => body.readableEnded || body.destroy());
    const begin = () => {
      reply.hijack();
      const headers = { ...(reply.getHeaders() as OutgoingHttpHeaders), [REQUEST_ID]: request.id };
      out.writeHead(200, { ...headers, 'content-type': NDJSON });
      return new PatientWriter(out);
    };
    let writer: PatientWriter | undefined;
    try {
      for await (const { position: _, ...result } of results) {
        writer ??= begin();
        const full = writer.write(`${JSON.stringify(result)}\n`);
        if (full) await full;
        // The client disconnected: nobody reads the results, and the rest of the lines won't arrive.
        if (out.destroyed)
          return this.logger.warn(`the client left an import after line ${result.line}`, idsOf(request));
      }
      writer ??= begin();
      await writer.end();
    } catch (error) {
      this.logger.warn(`an import failed: ${inWords(error)}`, idsOf(request));
      // The status is sent with the first result. After that, only a broken connection can signal the failure.
      if (out.headersSent) out.destroy();
      else if (body.errored) out.destroy();
      else throw error instanceof Problem ? error : unavailable('The event store is unavailable.');
    } finally {
      await writer?.close();
    }
  }
}
