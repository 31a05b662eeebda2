import type { FastifyReply } from 'fastify';

/** An answer that is JSON already. Several callers may get the same one. */
export class Json<Value> {
  constructor(private readonly text: string | Buffer) {}

  /** Sends the answer: a route returns the result. */
  by(reply: FastifyReply): string | Buffer {
    reply.type('application/json; charset=utf-8');
    return this.text;
  }

  parse(): Value {
    return JSON.parse(this.text.toString()) as Value;
  }
}
