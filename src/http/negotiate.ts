interface Range {
  readonly type: string;
  readonly quality: number;
  /** 2 for a media type, 1 for `type/*`, 0 for all types. */
  readonly precision: number;
}

/**
 * The media type that a client prefers (RFC 9110 §12.5.1). Parameters other than `q` don't count. Between equals, the
 * more precise range wins, then the first in the header.
 * @param accept the header; undefined or blank accepts every type.
 * @param offered the service's order.
 * @returns undefined if the client accepts none.
 */
export function negotiate(accept: string | undefined, offered: readonly string[]): string | undefined {
  if (accept === undefined || accept === '*/*' || accept.trim() === '') return offered[0];
  const ranges = accept.split(',').flatMap(rangeOf);
  return offered
    .flatMap((type) => {
      // The most precise range decides: `text/*;q=0` refuses text in spite of `*/*`.
      const matching = ranges.filter((range) => covers(range.type, type));
      const [range] = matching.toSorted((a, b) => b.precision - a.precision || b.quality - a.quality);
      return range && range.quality > 0 ? [{ type, range }] : [];
    })
    .toSorted(
      ({ range: a }, { range: b }) =>
        b.quality - a.quality || b.precision - a.precision || ranges.indexOf(a) - ranges.indexOf(b),
    )[0]?.type;
}

/** @returns an empty list for text that is no media range. */
function rangeOf(text: string): Range[] {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  if (!/^[^\s/*]+\/([^\s/*]+|\*)$|^\*\/\*$/.test(type)) return [];
  const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
  const quality =
    weight === undefined ? 1 : /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(weight) ? Number(weight) : 0;
  return [{ type, quality, precision: type === '*/*' ? 0 : type.endsWith('/*') ? 1 : 2 }];
}

const covers = (range: string, type: string): boolean =>
  range === '*/*' || range === type || (range.endsWith('/*') && type.startsWith(range.slice(0, -1)));
