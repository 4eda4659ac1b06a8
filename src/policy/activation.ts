import type { PluginManifest } from '../discovery/types.ts';

/**
 * Why a plugin stays inactive: what its manifest's `activation` asks for and the configuration does not have.
 *
 * @param environment - names of the variables that are set and not blank; `provider:…` and `strategy:…` for what
 * `model_list` and `router_settings` name
 * @returns one sentence, or `null` when nothing is missing
 */
export function checkActivation(
  manifest: PluginManifest | null,
  environment: ReadonlySet<string>,
): string | null {
  const { env = [], anyOf = [] } = manifest?.activation ?? {};
  const missing = env.filter((name) => !environment.has(name));
  const hasOne = anyOf.length === 0 || anyOf.some((name) => environment.has(name));
  const wanted = [
    ...(missing.length === 0 ? [] : [areSet(missing, ' and ')]),
    ...(hasOne ? [] : [alternatives(anyOf)]),
  ];
  return wanted.length === 0 ? null : `Inactive until ${wanted.join(' and ')}`;
}

function alternatives(anyOf: readonly string[]): string {
  const { variable = [], provider = [], strategy = [] } = Object.groupBy(anyOf, kindOf);
  const ways = [
    ...(variable.length === 0 ? [] : [`${variable.join(' or ')} is set`]),
    ...(provider.length === 0 ? [] : [`model_list has a model of ${provider.map(nameOf).join(' or ')}`]),
    ...(strategy.length === 0
      ? []
      : [`router_settings.routing_strategy is ${strategy.map(nameOf).join(' or ')}`]),
  ];
  return ways.join(', or ');
}

function kindOf(condition: string): 'variable' | 'provider' | 'strategy' {
  if (condition.startsWith('provider:')) return 'provider';
  return condition.startsWith('strategy:') ? 'strategy' : 'variable';
}

function nameOf(condition: string): string {
  return condition.slice(condition.indexOf(':') + 1);
}

function areSet(names: readonly string[], and: string): string {
  return `${names.join(and)} ${names.length === 1 ? 'is' : 'are'} set`;
}
