import { ConfigError } from 'routeiq-gateway/plugin';

/** One entry of the setting `providers`. */
export interface ProviderSettings {
  /** What stands before the slash in `litellm_params.model`. */
  readonly name: string;
  readonly packageName: string;
  /** The package's function that makes the provider; `null`: the one that it has. */
  readonly factory: string | null;
  /** May hold credentials. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Packages by the names that the AI SDK and LiteLLM have for their providers. */
const PACKAGES: ReadonlyMap<string, string> = new Map([
  ['google', '@ai-sdk/google'],
  ['gemini', '@ai-sdk/google'],
  ['google-vertex', '@ai-sdk/google-vertex'],
  ['vertex_ai', '@ai-sdk/google-vertex'],
  ['amazon-bedrock', '@ai-sdk/amazon-bedrock'],
  ['bedrock', '@ai-sdk/amazon-bedrock'],
  ['cohere', '@ai-sdk/cohere'],
  ['cohere_chat', '@ai-sdk/cohere'],
]);

/** The shape has been checked against the manifest's schema. */
type Entry = Partial<{ package: string; factory: string; options: Record<string, unknown> }>;

/**
 * The providers that the settings name, and those in use whose package is known by their name.
 *
 * @param inUse names of the providers of all models
 * @throws ConfigError `config_invalid`, when neither the name nor the entry says which package it is
 */
export function readProviders(
  setting: Readonly<Record<string, Entry | null>>,
  inUse: readonly string[],
): readonly ProviderSettings[] {
  const names = new Set([...Object.keys(setting), ...inUse.filter((name) => PACKAGES.has(name))]);
  return [...names].map((name) => {
    const entry = setting[name];
    const packageName = entry?.package ?? PACKAGES.get(name);
    if (packageName === undefined) throw unknownPackage(name);
    return { name, packageName, factory: entry?.factory ?? null, options: entry?.options ?? {} };
  });
}

function unknownPackage(name: string): ConfigError {
  const known = [...PACKAGES.keys()].join(', ');
  return new ConfigError([
    `providers.${name}: got no package, expected one, for example "@ai-sdk/${name}"; only ${known} need none`,
  ]);
}
