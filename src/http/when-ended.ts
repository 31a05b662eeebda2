import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * Hears the end of an answer.
 * @param then is called once, with whether the answer was sent as a whole; at once if the connection is gone already.
 */
export function whenEnded(
  { raw: { socket } }: FastifyRequest,
  { raw }: FastifyReply,
  then: (complete: boolean) => void,
): void {
  let ended = false;
  const end = () => {
    // Node closes the answer while it tells that the socket closed, and the listener of the socket is called all the same.
    if (ended) return;
    ended = true;
    raw.off('close', end);
    socket.off('close', end);
    then(raw.writableFinished);
  };
  if (raw.destroyed || socket.destroyed) return end();
  // An answer that waits behind another on the same connection is never closed itself if the connection closes first.
  raw.once('close', end);
  socket.once('close', end);
  // Node warns of more than ten, and a connection may have many requests under way.
  socket.setMaxListeners(0);
}
