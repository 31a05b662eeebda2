import type { Readable } from 'node:stream';
import { Controller, HttpCode, Logger, Post, Req, Res } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiHeader, ApiOperation, ApiResponse } from '@nestjs/swagger';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DescribeProblems } from '../http/describe.js';
import { NDJSON, unsupportedType } from '../http/media-types.js';
import { Offers } from '../http/offer.guard.js';
import { readContext } from '../http/request-context.js';
import { invalidRequest, Problem, unavailable } from '../http/problem.js';
import { Importer } from './importer.js';
import { PatientWriter } from './patient-writer.js';

@Controller('imports')
export class ImportsController {
  private readonly logger = new Logger('imports');

  constructor(private readonly importer: Importer) {}

  @Post()
  @HttpCode(200)
  @RouteConfig({ streams: true })
  @Offers({ query: [], produces: [NDJSON] })
  @ApiOperation({
    summary:
      'Import authors and books, one JSON object a line; answers one result a line, in order, as lines finish',
    tags: ['commands'],
  })
  @ApiConsumes(NDJSON)
  @ApiBody({ schema: { type: 'string' }, required: true })
  @ApiHeader({ name: 'X-Actor', description: 'who acts; percent-encoded UTF-8; default anonymous' })
  @ApiHeader({ name: 'Reason', description: 'why; percent-encoded UTF-8' })
  @ApiResponse({
    status: 200,
    description: 'one result a line',
    content: { [NDJSON]: { schema: { type: 'string' } } },
  })
  @DescribeProblems({ 403: ['foreign-origin'], 415: ['unsupported-media-type'] })
  async importLines(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
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
    const results = this.importer.run(body, readContext(request));
    const out = reply.raw;
    const begin = () => {
      reply.hijack();
      out.writeHead(200, { 'content-type': NDJSON });
      return new PatientWriter(out);
    };
    let writer: PatientWriter | undefined;
    try {
      for await (const { position: _, ...result } of results) {
        writer ??= begin();
        const full = writer.write(`${JSON.stringify(result)}\n`);
        if (full) await full;
        // The client disconnected: nobody reads the results, and the rest of the lines won't arrive.
        if (out.destroyed) return this.logger.warn(`the client left an import after line ${result.line}`);
      }
      writer ??= begin();
      await writer.end();
    } catch (error) {
      this.logger.warn(`an import failed: ${(error as Error).message}`);
      // The status is sent with the first result. After that, only a broken connection can signal the failure.
      if (out.headersSent) out.destroy();
      else if (body.errored) out.destroy();
      else throw error instanceof Problem ? error : unavailable('The event store is unavailable.');
    } finally {
      await writer?.close();
    }
  }
}
