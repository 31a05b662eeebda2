import type { FastifyReply } from 'fastify';

/** From this length on, a text that many callers get is encoded once, and is in memory once. */
const LARGE = 65_536;

/** An answer that is JSON already. Several callers may get the same one. */
export class Json<Value> {
  private readonly text: string | Buffer;

  constructor(text: string) {
    // A short text is written together with the headers, which takes less than a buffer.
    this.text = text.length < LARGE ? text : Buffer.from(text);
  }

  /** Sends the answer: a route returns the result. */
  by(reply: FastifyReply): string | Buffer {
    reply.type('application/json; charset=utf-8');
    return this.text;
  }

  parse(): Value {
    return JSON.parse(this.text.toString()) as Value;
  }
}
