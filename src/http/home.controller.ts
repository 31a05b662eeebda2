import { Controller, Get, Header } from '@nestjs/common';
import { ApiOperation, ApiResponse } from '@nestjs/swagger';
import { Access } from './access.js';

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Colophon</title>
<style>
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; color: #222 }
  h1 { font-weight: 600 } dt { margin-top: 1rem; font-weight: 600 } dd { margin: 0 } a { color: #05c }
  @media (prefers-color-scheme: dark) { body { color: #ddd; background: #161616 } a { color: #6af } }
</style>
<h1>Colophon</h1>
<p>The event-sourced system of record for authors and books. Commands write events, queries read tables built from
events, and every change can be audited.</p>
<dl>
  <dt><a href="/docs">API documentation</a></dt>
  <dd>Every route, to read and to try. As OpenAPI: <a href="/docs/openapi.json">openapi.json</a></dd>
  <dt><a href="/authors">Authors</a> and <a href="/books">books</a></dt>
  <dd>The catalogue as it is now.</dd>
  <dt><a href="/audit/events">Events</a></dt>
  <dd>The log, in order: who changed what, when and why.</dd>
  <dt><a href="/projections">Projections</a></dt>
  <dd>How far the tables have followed the log.</dd>
  <dt>Health: <a href="/health/live">live</a>, <a href="/health/ready">ready</a></dt>
  <dd>Whether the process answers, and whether commands and queries would work.</dd>
</dl>
`;

/** The home page, for people who open the service's address in a browser. */
@Controller()
export class HomeController {
  @Get()
  @Access('anyone')
  @Header('content-type', 'text/html; charset=utf-8')
  @ApiOperation({
    summary: 'The home page: what Colophon is, and links to everything else',
    tags: ['operation'],
  })
  @ApiResponse({
    status: 200,
    description: 'the page',
    content: { 'text/html': { schema: { type: 'string' } } },
  })
  home(): string {
    return PAGE;
  }
}
