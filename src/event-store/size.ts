/** Rough size of parsed JSON, in bytes: its texts and bytes, and some bytes for each value. Never recursive. */
export function sizeOf(value: unknown): number {
  let bytes = 0;
  const left = [value];
  while (left.length > 0) {
    const one = left.pop();
    bytes += 16;
    if (typeof one === 'string') bytes += one.length;
    else if (ArrayBuffer.isView(one)) bytes += one.byteLength;
    else if (typeof one === 'object' && one !== null)
      for (const inner of Object.values(one) as unknown[]) left.push(inner);
  }
  return bytes;
}
