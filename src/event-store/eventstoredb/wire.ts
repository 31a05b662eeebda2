import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

const sockets = new Set<Socket>();

// The client tells of whole messages only, and an event may have 12 MiB. Node tells of the sockets that gRPC opens.
subscribe('net.client.socket', (message) => {
  // Not by a listener on each socket: whoever else opens sockets would get warnings of too many listeners.
  for (const open of sockets) if (open.destroyed) sockets.delete(open);
  sockets.add((message as { socket: Socket }).socket);
});

/** Bytes that arrived on the open connections of this process to servers. A change means that data flows. */
export const bytesReceived = (): number => {
  let bytes = 0;
  for (const socket of sockets) bytes += socket.bytesRead;
  return bytes;
};
