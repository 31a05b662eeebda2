import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** What is to hear the end of its answer, connection by connection. */
const waiting = new WeakMap<Socket, Set<() => void>>();

/**
 * Hears the end of an answer. Every request does so, so a connection has one listener for all of its requests.
 * @param then is called once, with whether the answer was sent as a whole; at once if the connection is gone already.
 */
export function whenEnded(
  { raw: { socket } }: FastifyRequest,
  { raw }: FastifyReply,
  then: (complete: boolean) => void,
): void {
  if (raw.destroyed || socket.destroyed) return then(raw.writableFinished);
  const ends = waiting.get(socket) ?? listenTo(socket);
  // Node closes the answer when its socket closes, and both tell.
  const end = () => {
    if (ends.delete(end)) then(raw.writableFinished);
  };
  ends.add(end);
  raw.on('close', end);
}

/** An answer that waits behind another on the same connection is never closed itself if the connection closes first. */
function listenTo(socket: Socket): Set<() => void> {
  const ends = new Set<() => void>();
  waiting.set(socket, ends);
  socket.once('close', () => {
    for (const end of ends) end();
  });
  return ends;
}
