import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { PatientWriter } from './patient-writer.js';

/** A reader that takes nothing until it is told to read. */
class Reader extends Writable {
  text = '';
  private held: (() => void) | undefined;
  private reading = false;

  constructor() {
    super({ highWaterMark: 1 });
  }

  override _write(chunk: Buffer, _: string, done: () => void): void {
    const take = () => {
      this.text += chunk.toString();
      done();
    };
    if (this.reading) setImmediate(take);
    else this.held = take;
  }

  begin(): void {
    this.reading = true;
    this.held?.();
  }
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'colophon-writer-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const patient = (reader: Reader, file = 1_000_000) =>
  new PatientWriter(reader, { memory: 1_000, file, folder });

const lines = (count: number) => Array.from({ length: count }, (_, n) => `${n} ${randomUUID()} é\n`);

test('takes everything before the reader takes anything, and leaves no file behind', async () => {
  const reader = new Reader();
  const writer = patient(reader);
  const written = lines(5_000);
  for (const line of written) await writer.write(line);
  expect(reader.text).toBe('');
  expect(readdirSync(folder)).toEqual([]);
  reader.begin();
  await writer.end();
  await writer.close();
  expect(reader.text).toBe(written.join(''));
});

test('keeps the order if the reader reads, stops and reads again', async () => {
  const reader = new Reader();
  const writer = patient(reader);
  const written = lines(3_000);
  for (const [n, line] of written.entries()) {
    await writer.write(line);
    if (n === 1_000) reader.begin();
    // Somewhere in between, all that was kept is read.
    if (n === 2_000) while (reader.text.split('\n').length < 2_000) await new Promise(setImmediate);
  }
  await writer.end();
  await writer.close();
  expect(reader.text).toBe(written.join(''));
});

test.each([
  ['the file is full', () => undefined],
  ['no file can be written', () => rmSync(folder, { recursive: true })],
])('waits for the reader if %s', async (_, prepare) => {
  prepare();
  const reader = new Reader();
  const writer = patient(reader, 20_000);
  const written = lines(2_000);
  let taken = 0;
  const writing = (async () => {
    for (const line of written) {
      await writer.write(line);
      taken += 1;
    }
  })();
  let last = -1;
  while (taken !== last) {
    last = taken;
    // Room in the file is used as soon as the disk has taken what came before.
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
  }
  expect(taken).toBeLessThan(written.length);
  reader.begin();
  await writing;
  await writer.end();
  await writer.close();
  expect(reader.text).toBe(written.join(''));
});

test('lets the writer go on if the reader leaves', async () => {
  const reader = new Reader();
  const writer = patient(reader, 20_000);
  const writing = (async () => {
    for (const line of lines(2_000)) await writer.write(line);
  })();
  await new Promise(setImmediate);
  reader.destroy();
  await writing;
  await writer.end();
  await writer.close();
  expect(readdirSync(folder)).toEqual([]);
});
