import type { EmbeddingModelV4, LanguageModelV4 } from '@ai-sdk/provider';
import { PluginLoadError } from 'routeiq-gateway/plugin';
import type { ProviderSettings } from './settings.ts';

/** What a package of the AI SDK makes, as far as the gateway asks it. Older versions of the models are refused later. */
export interface SdkModels {
  languageModel(modelId: string): LanguageModelV4;
  embeddingModel(modelId: string): EmbeddingModelV4;
}

/** A package's function that makes a provider. */
export type CreateProvider = (options: Readonly<Record<string, unknown>>) => SdkModels;

/**
 * Imports a provider's package and finds the function that makes providers.
 *
 * @throws PluginLoadError `plugin_load`, when the package is not installed or has no such function
 */
export async function loadFactory({ packageName, factory }: ProviderSettings): Promise<CreateProvider> {
  const exported = await importPackage(packageName);
  if (factory !== null) return namedFactory(packageName, exported, factory);
  // A package may export one function under several names.
  const candidates = new Set(
    Object.entries(exported)
      .filter(([name, value]) => /^create[A-Z]/.test(name) && typeof value === 'function')
      .map(([, value]) => value as CreateProvider),
  );
  const [first, ...others] = candidates;
  if (first !== undefined && others.length === 0) return first;
  throw new PluginLoadError(
    `The package "${packageName}" has ${candidates.size} functions whose names begin with "create", expected one: name it as "factory"`,
  );
}

function namedFactory(
  packageName: string,
  exported: Readonly<Record<string, unknown>>,
  factory: string,
): CreateProvider {
  const value = exported[factory];
  if (typeof value === 'function') return value as CreateProvider;
  throw new PluginLoadError(`The package "${packageName}" has no function "${factory}"`);
}

async function importPackage(name: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(name)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    if (!isMissing(cause, name)) {
      throw new PluginLoadError(`The package "${name}" cannot be imported`, { cause });
    }
    throw new PluginLoadError(
      `The package "${name}" is not installed: npm install --prefix plugins/providers-ai-sdk ${name}`,
      { cause },
    );
  }
}

/** The package itself, and not one that it needs. */
function isMissing(error: unknown, name: string): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes(`'${name}'`);
}
