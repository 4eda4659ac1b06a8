import { satisfies, validRange } from 'semver';
import type { PluginDependency } from '../plugin-api/metadata.ts';
import type { OrderNode } from './order.ts';

/** What is wrong with the dependencies of one plugin, in words. */
export interface DependencyProblem {
  readonly message: string;
  /** `[dependent, dependency]`, or a cycle's path. */
  readonly path: readonly string[];
}

/**
 * Dependencies that nobody provides, and versions out of range; each once, in the order of discovery. An optional
 * dependency may be absent, but a wrong version of it is as wrong as any: npm's rule for optional peers.
 *
 * @param index the position of each name in `nodes`
 */
export function findDependencyProblems(
  nodes: readonly OrderNode[],
  index: ReadonlyMap<string, number>,
): DependencyProblem[] {
  const problems = new Map<string, DependencyProblem>();
  for (const node of nodes) {
    for (const dependency of node.dependsOn) {
      const message = describeProblem(node, dependency, nodes[index.get(dependency.name) ?? -1]);
      if (message !== null) problems.set(message, { message, path: [node.name, dependency.name] });
    }
  }
  return [...problems.values()];
}

function describeProblem(
  dependent: OrderNode,
  dependency: Required<PluginDependency>,
  provider: OrderNode | undefined,
): string | null {
  const link = `plugin "${dependent.name}" depends on "${dependency.name}"`;
  const range = validRange(dependency.version);
  if (range === null)
    return `${link} with the version range "${dependency.version}", expected npm's syntax such as "^2"`;
  if (provider === undefined) return dependency.optional ? null : `${link}, which no plugin provides`;
  if (accepts(range, dependency.version, provider.version)) return null;
  return `${link} in version "${dependency.version}", but "${dependency.name}" has version "${provider.version}"`;
}

/** `*` is any version: semver alone would refuse pre-releases, though the author asked for nothing. */
function accepts(range: string, written: string, version: string | null): boolean {
  return version === null || range === '*' || satisfies(version, written);
}
