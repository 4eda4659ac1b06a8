import { basename, extname } from 'node:path';
import type { PluginsConfig } from '../config/types.ts';
import { loadPlugin } from '../discovery/load.ts';
import type { LoadedPlugin, PluginCandidate, ResolvedMetadata } from '../discovery/types.ts';
import { isGatewayError, PluginLoadError, PluginTimeoutError } from '../errors.ts';
import type { PluginReason } from '../lifecycle/record.ts';
import { checkActivation } from '../policy/activation.ts';
import { checkAllowlist } from '../policy/allowlist.ts';
import { checkCapabilities } from '../policy/capabilities.ts';
import { findLockProblem } from './plugin-lock.ts';

/** What policy and the import made of a candidate. */
export type Admission = { readonly name: string; readonly metadata: ResolvedMetadata | null } & (
  | { readonly verdict: 'loaded'; readonly loaded: LoadedPlugin; readonly metadata: ResolvedMetadata }
  | { readonly verdict: 'inactive'; readonly reason: PluginReason }
  /** Policy says no. */
  | { readonly verdict: 'rejected'; readonly error: Error }
  /** It may load, but cannot. */
  | { readonly verdict: 'failed'; readonly error: Error }
);

type AdmissionPolicy = Pick<
  PluginsConfig,
  'allowlist' | 'allowedCapabilities' | 'disabled' | 'environment' | 'lock' | 'lockfile' | 'startupTimeoutMs'
>;

/**
 * Decides about one candidate, in the order of the plugin document's "Load Order": allowlist, before any of its code
 * is read; whether it is wanted; what discovery found wrong; the manifest's capabilities; the lock file; the import,
 * with a deadline; the code's capabilities.
 */
export async function admit(candidate: PluginCandidate, policy: AdmissionPolicy): Promise<Admission> {
  const known = { name: nameBeforeLoad(candidate), metadata: candidate.manifest?.metadata ?? null };
  const denied = checkAllowlist(candidate, policy.allowlist);
  if (denied !== null) return { ...known, verdict: 'rejected', error: denied };
  const unwanted = findUnwanted(candidate, policy);
  if (unwanted !== null) return { ...known, verdict: 'inactive', reason: unwanted };
  if (candidate.problem !== null) return { ...known, ...refusal(candidate.problem) };
  const forbidden = known.metadata && checkCapabilities(known.metadata, policy.allowedCapabilities);
  if (forbidden !== null) return { ...known, verdict: 'rejected', error: forbidden };
  try {
    const differs = await findLockProblem(candidate, policy);
    if (differs !== null) return { ...known, verdict: 'rejected', error: differs };
    return judgeLoaded(await loadWithin(candidate, policy.startupTimeoutMs), policy);
  } catch (error) {
    return { ...known, ...refusal(error) };
  }
}

function judgeLoaded(loaded: LoadedPlugin, policy: AdmissionPolicy): Admission {
  const { metadata } = loaded;
  const known = { name: metadata.name, metadata };
  if (policy.disabled.includes(metadata.name))
    return { ...known, verdict: 'inactive', reason: asDisabled(metadata.name) };
  const forbidden = checkCapabilities(metadata, policy.allowedCapabilities);
  if (forbidden !== null) return { ...known, verdict: 'rejected', error: forbidden };
  return { ...known, verdict: 'loaded', loaded };
}

/** Security refuses; everything else is a failure, to which the plugin's failure mode applies. */
function refusal(error: unknown): { readonly verdict: 'rejected' | 'failed'; readonly error: Error } {
  const known = isGatewayError(error) ? error : new PluginLoadError(String(error), { cause: error });
  return { verdict: known.code === 'plugin_security' ? 'rejected' : 'failed', error: known };
}

function findUnwanted(candidate: PluginCandidate, policy: AdmissionPolicy): PluginReason | null {
  const unwanted = findDisabled(candidate, policy.disabled);
  if (unwanted !== null) return unwanted;
  const missing = checkActivation(candidate.manifest, policy.environment);
  return missing === null ? null : { code: 'plugin_inactive', message: missing };
}

/**
 * Why a plugin is not to load, as far as it is known without reading code: by the manifest's name, the folder's, the
 * package's, the file's.
 *
 * @param disabled - `LLMROUTER_PLUGINS_DISABLED`
 */
export function findDisabled(candidate: PluginCandidate, disabled: readonly string[]): PluginReason | null {
  const names = [nameBeforeLoad(candidate), baseName(candidate), candidate.manifest?.packageName];
  const name = names.find((each) => each != null && disabled.includes(each));
  return name == null ? null : asDisabled(name);
}

function asDisabled(name: string): PluginReason {
  return {
    code: 'plugin_disabled',
    message: `LLMROUTER_PLUGINS_DISABLED has "${name}"; take it out to load the plugin`,
  };
}

function nameBeforeLoad(candidate: PluginCandidate): string {
  return candidate.manifest?.metadata.name ?? candidate.exportName ?? baseName(candidate);
}

function baseName({ specifier }: PluginCandidate): string {
  const path = specifier.replace(/#.*$/, '');
  return basename(path, extname(path).match(/^\.([mc]?js|ts)$/) ? extname(path) : '') || specifier;
}

/** Top-level await of a plugin must not hold up the start for ever. */
async function loadWithin(candidate: PluginCandidate, timeoutMs: number): Promise<LoadedPlugin> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const message = `Plugin "${candidate.specifier}" could not be imported within ${timeoutMs} ms (LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS)`;
    timer = setTimeout(() => reject(new PluginTimeoutError(message)), timeoutMs);
  });
  try {
    return await Promise.race([loadPlugin(candidate), late]);
  } finally {
    clearTimeout(timer);
  }
}
