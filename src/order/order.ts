import { Graph } from '@dagrejs/graphlib';
import { PluginDependencyError } from '../errors.ts';
import type { PluginDependency } from '../plugin-api/metadata.ts';
import { type DependencyProblem, findDependencyProblems } from './dependency-problems.ts';
import { findCycle } from './find-cycle.ts';
import { ReadyQueue } from './ready-queue.ts';

/** A plugin as far as order is concerned. */
export interface OrderNode {
  /** Unique among the nodes. Any text: `constructor` and `__proto__` are names like others. */
  readonly name: string;
  /** Semantic version; `null`: unknown, so that no range is held against it. */
  readonly version: string | null;
  /** Lower starts earlier. */
  readonly priority: number;
  readonly dependsOn: readonly Required<PluginDependency>[];
}

/** Why one plugin stands where it stands. */
export interface OrderStep {
  readonly name: string;
  readonly priority: number;
  /** Position in the order of discovery, from 0. */
  readonly discovery: number;
  /** The plugins it waited for, in load order. Optional ones that are absent are left out. */
  readonly after: readonly string[];
  /** The next best of the plugins that were ready at the same moment; `null`: it was the only one. */
  readonly ahead: {
    readonly name: string;
    readonly by: 'priority' | 'discovery';
    readonly priority: number;
  } | null;
}

/** The one order in which plugins start, run and (reversed) stop. Frozen. */
export interface ResolvedOrder {
  readonly names: readonly string[];
  /** One for each name, in the same order. */
  readonly steps: readonly OrderStep[];
}

/** Ids in the graph are positions: graphlib keeps nodes in a plain object, where `__proto__` and `constructor` break. */
type DependencyGraph = Graph<undefined, OrderNode, undefined>;

/**
 * The load order: after all dependencies; among those ready the lower priority first, then the earlier discovered.
 * Kahn's algorithm. Source: the plugin document, headings "Dependencies", "Priority" and "Load Order".
 *
 * @param nodes every known plugin in the order of discovery, also those that will not start: a dependency on one of
 * these is satisfied here, and blocked later
 * @throws PluginDependencyError `plugin_dependency`: names all missing dependencies, all versions out of range and
 * one cycle with its path, in one line; its `path` is that of the first problem
 *
 * @example
 * ```ts
 * const any = { version: '*', optional: false };
 * resolveOrder([
 *   { name: 'app', version: '1.0.0', priority: 1, dependsOn: [{ name: 'base', ...any }] },
 *   { name: 'base', version: '1.0.0', priority: 1000, dependsOn: [] },
 * ]).names; // ['base', 'app']
 * ```
 */
export function resolveOrder(nodes: readonly OrderNode[]): ResolvedOrder {
  const index = indexByName(nodes);
  const graph = buildGraph(nodes, index);
  const steps = sort(nodes, graph);
  const problems = findDependencyProblems(nodes, index);
  if (steps.length < nodes.length) problems.push(describeCycle(nodes, graph, steps));
  if (problems.length > 0) throw toError(problems);
  return Object.freeze({ names: Object.freeze(steps.map((step) => step.name)), steps: Object.freeze(steps) });
}

function indexByName(nodes: readonly OrderNode[]): ReadonlyMap<string, number> {
  const index = new Map<string, number>();
  for (const [position, { name }] of nodes.entries()) {
    if (index.has(name)) {
      throw new PluginDependencyError(`two plugins are named "${name}"; a name may be given once`, [
        name,
        name,
      ]);
    }
    index.set(name, position);
  }
  return index;
}

/** An edge leads from a dependency to its dependent. Edges to absent plugins are left out: `setEdge` would invent them. */
function buildGraph(nodes: readonly OrderNode[], index: ReadonlyMap<string, number>): DependencyGraph {
  const graph: DependencyGraph = new Graph();
  for (const [position, node] of nodes.entries()) graph.setNode(String(position), node);
  for (const [position, node] of nodes.entries()) {
    for (const dependency of node.dependsOn) {
      const target = index.get(dependency.name);
      if (target !== undefined) graph.setEdge(String(target), String(position));
    }
  }
  return graph;
}

/** Kahn's algorithm. What lies on a cycle, or behind one, is missing from the answer. */
function sort(nodes: readonly OrderNode[], graph: DependencyGraph): OrderStep[] {
  const waitingFor = nodes.map((_, position) => graph.predecessors(String(position))?.length ?? 0);
  const ready = new ReadyQueue(nodes.map((node) => node.priority));
  for (const [position, count] of waitingFor.entries()) if (count === 0) ready.push(position);

  const loadIndex = new Map<number, number>();
  const steps: OrderStep[] = [];
  for (let position = ready.pop(); position !== undefined; position = ready.pop()) {
    loadIndex.set(position, steps.length);
    steps.push(toStep(nodes, graph, position, ready.peek(), loadIndex));
    for (const id of graph.successors(String(position)) ?? []) {
      const dependent = Number(id);
      const left = (waitingFor[dependent] ?? 0) - 1;
      waitingFor[dependent] = left;
      if (left === 0) ready.push(dependent);
    }
  }
  return steps;
}

function toStep(
  nodes: readonly OrderNode[],
  graph: DependencyGraph,
  position: number,
  runnerUp: number | undefined,
  loadIndex: ReadonlyMap<number, number>,
): OrderStep {
  const { name, priority } = at(nodes, position);
  const after = (graph.predecessors(String(position)) ?? [])
    .map(Number)
    .sort((a, b) => (loadIndex.get(a) ?? 0) - (loadIndex.get(b) ?? 0))
    .map((dependency) => at(nodes, dependency).name);
  return Object.freeze({
    name,
    priority,
    discovery: position,
    after: Object.freeze(after),
    ahead: runnerUp === undefined ? null : toAhead(at(nodes, runnerUp), priority),
  });
}

function toAhead(other: OrderNode, priority: number): OrderStep['ahead'] {
  const by = other.priority === priority ? 'discovery' : 'priority';
  return Object.freeze({ name: other.name, by, priority: other.priority });
}

function describeCycle(
  nodes: readonly OrderNode[],
  graph: DependencyGraph,
  steps: readonly OrderStep[],
): DependencyProblem {
  const placed = new Set(steps.map((step) => step.discovery));
  const dependencies = new Map<string, readonly string[]>();
  for (const [position, { name }] of nodes.entries()) {
    if (placed.has(position)) continue;
    const open = (graph.predecessors(String(position)) ?? []).map(Number).filter((id) => !placed.has(id));
    dependencies.set(
      name,
      open.map((id) => at(nodes, id).name),
    );
  }
  const path = findCycle(dependencies);
  return { message: `plugins depend on each other in a cycle: ${path.join(' -> ')}`, path };
}

/** One line, because the process ends with one line on stderr. */
function toError(problems: readonly DependencyProblem[]): PluginDependencyError {
  const message = problems.map((problem) => problem.message).join('; ');
  return new PluginDependencyError(message, problems[0]?.path ?? [], {
    hint: 'Add the missing plugin, take the dependency out of `dependsOn`, or mark it `optional`.',
  });
}

function at(nodes: readonly OrderNode[], position: number): OrderNode {
  const node = nodes[position];
  if (node === undefined) throw new RangeError(`no plugin at position ${position} of ${nodes.length}`);
  return node;
}
