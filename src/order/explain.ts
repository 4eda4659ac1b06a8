import type { OrderStep, ResolvedOrder } from './order.ts';

/** One plugin's place, in words. */
export interface OrderExplanation {
  readonly name: string;
  /** Place in the order, from 1. */
  readonly place: number;
  /** One sentence. */
  readonly reason: string;
}

/**
 * For each plugin, in load order, one sentence why it stands where it stands (`routeiq plugins explain`).
 *
 * @example
 * ```ts
 * explainOrder(order)[1]; // { name: 'app', place: 2, reason: 'It starts after "base", …' }
 * ```
 */
export function explainOrder(order: ResolvedOrder): readonly OrderExplanation[] {
  return order.steps.map((step, index) => ({ name: step.name, place: index + 1, reason: explainStep(step) }));
}

function explainStep(step: OrderStep): string {
  return `It ${describeDependencies(step)}; ${describeChoice(step)}.`;
}

function describeDependencies({ after }: OrderStep): string {
  if (after.length === 0) return 'depends on no other plugin';
  return `starts after ${after.map((name) => `"${name}"`).join(', ')}, on which it depends`;
}

function describeChoice({ ahead, priority, discovery }: OrderStep): string {
  const own = `priority ${priority}, discovered ${ordinal(discovery + 1)}`;
  if (ahead === null) return `no other plugin was ready at that point (${own})`;
  if (ahead.by === 'priority') {
    return `it goes before "${ahead.name}", because its priority ${priority} is lower than ${ahead.priority}`;
  }
  return `it goes before "${ahead.name}", which has the same priority ${priority} but was discovered later`;
}

function ordinal(number: number): string {
  const teens = number % 100 >= 11 && number % 100 <= 13;
  const suffix = teens ? 'th' : (['th', 'st', 'nd', 'rd'][number % 10] ?? 'th');
  return `${number}${suffix}`;
}
