// Loaded into a service by `NODE_OPTIONS`: tells of every promise that rejects unheard, where Node would end the process
// at the first.
process.on('unhandledRejection', (reason) => {
  process.stderr.write(
    `Error: a promise rejected unheard: ${reason instanceof Error ? reason.stack : reason}\n`,
  );
});
