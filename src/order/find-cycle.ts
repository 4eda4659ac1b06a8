/**
 * A cycle among names of which each depends on at least one other of them (what Kahn's algorithm leaves over).
 * The same for every order of the input: the search starts at the smallest name, takes the smallest dependency at each
 * step, and the path begins with the smallest name on the cycle.
 *
 * @returns the path along the dependencies with the first name repeated at the end: `['a', 'b', 'a']`
 */
export function findCycle(dependencies: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const walked: string[] = [];
  const seenAt = new Map<string, number>();
  let name = smallest([...dependencies.keys()]);
  while (!seenAt.has(name)) {
    seenAt.set(name, walked.length);
    walked.push(name);
    name = smallest(dependencies.get(name) ?? []);
  }
  const cycle = walked.slice(seenAt.get(name));
  const start = cycle.indexOf(smallest(cycle));
  const rotated = [...cycle.slice(start), ...cycle.slice(0, start)];
  return [...rotated, ...rotated.slice(0, 1)];
}

/** By code unit. */
function smallest(names: readonly string[]): string {
  const [first] = names.toSorted();
  if (first === undefined) throw new RangeError('a plugin that waits for nobody cannot be on a cycle');
  return first;
}
