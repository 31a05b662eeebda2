import DataLoader from 'dataloader';

/** Batches in progress at once. A slow batch delays only its own keys. */
const LANES = 2;

/**
 * A loader that gathers keys into shared statements: keys requested while batches are in progress wait for the next
 * batch. Nothing is cached. With one statement for each request, 64 connections got 3,000 answers a second.
 *
 * @param load returns values in the order of the keys. Gets at most `maxKeys` keys.
 */
export function batching<Value>(
  load: (keys: readonly string[]) => Promise<Value[]>,
  maxKeys: number,
): DataLoader<string, Value> {
  let underWay = 0;
  const gathering: (() => void)[] = [];
  const loadOne = async (keys: readonly string[]): Promise<Value[]> => {
    try {
      return await load(keys);
    } finally {
      const dispatch = gathering.shift();
      if (dispatch) dispatch();
      else underWay -= 1;
    }
  };
  const batchScheduleFn = (dispatch: () => void) => {
    if (underWay === LANES) {
      gathering.push(dispatch);
      return;
    }
    underWay += 1;
    // Waits until all requests from the same poll of the network are in.
    setImmediate(dispatch);
  };
  return new DataLoader(loadOne, { cache: false, maxBatchSize: maxKeys, batchScheduleFn });
}
