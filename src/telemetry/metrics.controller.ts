import { Controller, Get, Res } from '@nestjs/common';
import { ApiOperation, ApiResponse } from '@nestjs/swagger';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply } from 'fastify';
import { Access } from '../http/access.js';
import { DescribeProblems, OF_SCOPES } from '../http/describe.js';
import { Offers } from '../http/offer.guard.js';
import { Metrics } from './metrics.js';

@Controller('metrics')
export class MetricsController {
  constructor(private readonly metrics: Metrics) {}

  @Get()
  @Access('operate')
  // Whoever watches must see the most when the service has the most to do. Scrapes at the same time share one look.
  @RouteConfig({ probe: true })
  @Offers({ query: [], produces: ['text/plain'] })
  @ApiOperation({ summary: 'Metrics, in the text format of Prometheus', tags: ['operation'] })
  @ApiResponse({
    status: 200,
    description: 'the metrics',
    content: { 'text/plain': { schema: { type: 'string' } } },
  })
  @DescribeProblems(OF_SCOPES)
  async getMetrics(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    void reply.type(this.metrics.type);
    return this.metrics.text();
  }
}
