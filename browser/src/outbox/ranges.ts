/** Whole numbers as sorted, disjoint ranges that do not touch; both ends are in. */
export type Ranges = readonly (readonly [from: number, to: number])[];

/** All numbers of both. */
export function union(one: Ranges, other: Ranges): Ranges {
  const merged: [number, number][] = [];
  for (const [from, to] of [...one, ...other].sort(([a], [b]) => a - b)) {
    const last = merged.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

/** The numbers of `one` that are not in `other`. */
export function without(one: Ranges, other: Ranges): Ranges {
  return other.reduce<Ranges>(
    (left, [from, to]) =>
      left.flatMap(([low, high]): Ranges => {
        if (high < from || low > to) return [[low, high]];
        const ends: Ranges = [
          [low, from - 1],
          [to + 1, high],
        ];
        return ends.filter(([a, b]) => a <= b);
      }),
    one,
  );
}

export const rangesOf = (numbers: readonly number[]): Ranges =>
  union(
    [],
    numbers.map((number) => [number, number] as const),
  );
