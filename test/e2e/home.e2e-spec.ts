import { createService, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await createService();
});
afterAll(() => service.stop());

test('the pages work under their own policy: scripts are files of the service', async () => {
  for (const path of ['/', '/docs']) {
    const { headers, text } = await service.request('GET', path);
    expect(headers.get('content-security-policy')).toMatch(
      /^default-src 'self';style-src 'self' 'unsafe-inline'/,
    );
    for (const [script] of text.matchAll(/<script[^>]*>/g)) expect(script).toMatch(/ src="\.?\/[^/]/);
    expect(text).not.toMatch(/ on\w+=| (src|href)="\w+:\/\//);
  }
});

test('a person who opens the address is told what this is, and every place the page names is there', async () => {
  const { status, headers, text } = await service.request('GET', '/');
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(text).toContain('system of record for authors and books');
  const places = [...text.matchAll(/href="([^"]+)"/g)].map(([, href]) => href ?? '');
  expect(places).toEqual(expect.arrayContaining(['/docs', '/health/ready', '/projections']));
  for (const place of places)
    expect([place, (await service.request('GET', place)).status]).toEqual([place, 200]);
});
