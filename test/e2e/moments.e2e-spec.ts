import { clockShift } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';

// The clock that dates events is the log's. What the service's own clock says must not matter.

let service: TestService;
afterEach(() => service.stop());

const asOf = async (id: string, moment: string) => service.request('GET', `/authors/${id}?asOf=${moment}`);
const add = async (name: string) => (await service.request('POST', '/authors', { body: { name } })).body;
const rename = (id: string, name: string) => service.request('PATCH', `/authors/${id}`, { body: { name } });
const inSeconds = (seconds: number) => new Date(Date.now() + 1_000 * seconds).toISOString();

test.each([[-2], [30]])(
  'a service whose clock is %i s off answers as of the times that it has told',
  async (seconds) => {
    service = await createService(clockShift(1_000 * seconds));
    const { id, position } = await add('Anna');
    const { body } = await service.request('GET', `/authors/${id}`, {
      headers: { 'min-position': position },
    });
    expect(await asOf(id, body.updatedAt)).toMatchObject({ status: 200, body });
    expect(await asOf(id, inSeconds(15))).toMatchObject({
      status: 400,
      body: { errors: [{ rule: 'as-of' }] },
    });
  },
);

test('what is answered as of now stays, while others write', async () => {
  service = await createService(clockShift(30_000));
  const { id } = await add('0');
  let n = 0;
  let done = false;
  const write = async () => {
    while (!done) await rename(id, String((n += 1)));
  };
  const writing = write();
  const answers = new Map<string, unknown>();
  while (answers.size < 10) {
    const now = inSeconds(0);
    const { status, body } = await asOf(id, now);
    if (status === 200) answers.set(now, body);
    else expect([404, 400]).toContain(status);
  }
  done = true;
  await writing;
  for (const [now, body] of answers) expect((await asOf(id, now)).body).toEqual(body);
});

test('a clock that is set right while the service works holds nothing up', async () => {
  service = await createService(clockShift(24 * 3_600_000));
  const remove = async () => {
    const { id } = await add('Anna');
    const headers = { prefer: 'wait=10' };
    const { status, body } = await service.request('DELETE', `/authors/${id}?books=unlink`, { headers });
    expect([status, body.underWay]).toEqual([200, false]);
  };
  await remove();
  service.running.process.kill('SIGUSR2');
  await remove();
});
