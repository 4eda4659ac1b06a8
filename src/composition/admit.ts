import { basename, extname } from 'node:path';
import type { PluginsConfig } from '../config/types.ts';
import { loadPlugin } from '../discovery/load.ts';
import type { Snapshot } from '../discovery/snapshots.ts';
import type { LoadedPlugin, PluginCandidate, ResolvedMetadata } from '../discovery/types.ts';
import { isGatewayError, PluginLoadError, PluginTimeoutError } from '../errors.ts';
import type { HeldPlugin, StoredQuarantine } from '../lifecycle/quarantine-store.ts';
import type { PluginReason } from '../lifecycle/record.ts';
import { checkActivation } from '../policy/activation.ts';
import { checkAllowlist } from '../policy/allowlist.ts';
import { checkCapabilities } from '../policy/capabilities.ts';
import { findLockProblem } from './plugin-lock.ts';

/** What policy and the import made of a candidate. */
export type Admission = {
  readonly name: string;
  readonly metadata: ResolvedMetadata | null;
  /** `null`: policy or discovery had said no before its files were looked at. */
  readonly version: PluginVersion | null;
} & (
  | {
      readonly verdict: 'loaded';
      readonly loaded: LoadedPlugin;
      readonly metadata: ResolvedMetadata;
      readonly version: PluginVersion;
    }
  | { readonly verdict: 'inactive'; readonly reason: PluginReason }
  /** Policy says no. */
  | { readonly verdict: 'rejected'; readonly error: Error }
  /** It was quarantined for what its code did: that is not run. */
  | { readonly verdict: 'held'; readonly quarantine: StoredQuarantine }
  /** It may load, but cannot. */
  | { readonly verdict: 'failed'; readonly error: Error }
);

/** What the operator has to say about plugins. */
export type AdmissionPolicy = Pick<
  PluginsConfig,
  'allowlist' | 'allowedCapabilities' | 'disabled' | 'environment' | 'lock' | 'lockfile' | 'startupTimeoutMs'
>;

/** Where a plugin's code comes from. */
export interface PluginVersion {
  /** The plugin with the files that were imported. */
  readonly imported: PluginCandidate;
  /** The same bytes, kept; `null` when nobody will ask for them. */
  readonly kept: Snapshot | null;
}

/** What surrounds the import of a candidate's code. */
export interface ImportGuard {
  /**
   * Called once policy has admitted the candidate, before its code is read.
   *
   * @throws PluginLoadError `plugin_load`: its files cannot be kept
   */
  readonly keep: (candidate: PluginCandidate) => Promise<PluginVersion>;
  /** Plugins that are not imported. */
  readonly held: readonly HeldPlugin[];
  /** Runs the import, and sees to it that a module that never returns is named. */
  readonly watch: <T>(name: string, candidate: PluginCandidate, load: () => Promise<T>) => Promise<T>;
  /** Imports it, where its code is to run. */
  readonly load: (candidate: PluginCandidate) => Promise<LoadedPlugin>;
  /** True: that is a process of its own, so the import can hold up nothing here. Asked of admitted candidates only. */
  readonly isAside: (candidate: PluginCandidate) => boolean;
}

/** Nobody is held, nothing kept, nobody watches, and everything is imported here. */
export const UNGUARDED: ImportGuard = {
  held: [],
  keep: async (candidate) => ({ imported: candidate, kept: null }),
  watch: (_name, _candidate, load) => load(),
  load: loadPlugin,
  isAside: () => false,
};

/**
 * Decides about one candidate, in the order of the plugin document's "Load Order": allowlist, before any of its code
 * is read; whether it is wanted; what discovery found wrong; the manifest's capabilities; whether it is held; the lock
 * file; the import,
 * with a deadline; the code's capabilities.
 */
export async function admit(
  candidate: PluginCandidate,
  policy: AdmissionPolicy,
  guard: ImportGuard,
): Promise<Admission> {
  return admitUnread(candidate, policy, guard) ?? importKept(candidate, unread(candidate), policy, guard);
}

/** The same as far as it goes without reading code. `null`: nothing speaks against it so far. */
export function admitUnread(
  candidate: PluginCandidate,
  policy: AdmissionPolicy,
  guard: ImportGuard,
): Admission | null {
  const known = unread(candidate);
  const denied = checkAllowlist(candidate, policy.allowlist);
  if (denied !== null) return { ...known, verdict: 'rejected', error: denied };
  const unwanted = findUnwanted(candidate, policy);
  if (unwanted !== null) return { ...known, verdict: 'inactive', reason: unwanted };
  if (candidate.problem !== null) return { ...known, ...refusal(candidate.problem) };
  const forbidden = known.metadata && checkCapabilities(known.metadata, policy.allowedCapabilities);
  if (forbidden !== null) return { ...known, verdict: 'rejected', error: forbidden };
  const hold = findHold(candidate, guard.held);
  return hold === undefined
    ? null
    : { ...known, name: hold.name, verdict: 'held', quarantine: hold.quarantine };
}

function unread(candidate: PluginCandidate): Pick<Admission, 'name' | 'metadata' | 'version'> {
  return { name: nameBeforeLoad(candidate), metadata: candidate.manifest?.metadata ?? null, version: null };
}

async function importKept(
  candidate: PluginCandidate,
  known: Pick<Admission, 'name' | 'metadata' | 'version'>,
  policy: AdmissionPolicy,
  guard: ImportGuard,
): Promise<Admission> {
  let version: PluginVersion | null = null;
  try {
    version = await guard.keep(candidate);
    const { imported } = version;
    const differs = await findLockProblem(imported, policy);
    if (differs !== null) return { ...known, version, verdict: 'rejected', error: differs };
    const load = (): Promise<LoadedPlugin> => loadWithin(guard, imported, policy.startupTimeoutMs);
    const loaded = guard.isAside(imported) ? load() : guard.watch(known.name, imported, load);
    return judgeLoaded(await loaded, version, policy);
  } catch (error) {
    return { ...known, version, ...refusal(error) };
  }
}

function judgeLoaded(loaded: LoadedPlugin, version: PluginVersion, policy: AdmissionPolicy): Admission {
  const { metadata } = loaded;
  const known = { name: metadata.name, metadata, version };
  if (policy.disabled.includes(metadata.name))
    return { ...known, verdict: 'inactive', reason: asDisabled(metadata.name) };
  const forbidden = checkCapabilities(metadata, policy.allowedCapabilities);
  if (forbidden !== null) return { ...known, verdict: 'rejected', error: forbidden };
  return { ...known, metadata, version, verdict: 'loaded', loaded };
}

/** By its specifier, since its code may have another name for it than can be known before; else by its name. */
function findHold(candidate: PluginCandidate, held: readonly HeldPlugin[]): HeldPlugin | undefined {
  const name = nameBeforeLoad(candidate);
  return (
    held.find(({ specifier }) => specifier === candidate.specifier) ?? held.find((each) => each.name === name)
  );
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

/** Its name as far as it is known without reading code. */
export function nameBeforeLoad(candidate: PluginCandidate): string {
  return candidate.manifest?.metadata.name ?? candidate.exportName ?? baseName(candidate);
}

function baseName({ specifier }: PluginCandidate): string {
  const path = specifier.replace(/#.*$/, '');
  return basename(path, extname(path).match(/^\.([mc]?js|ts)$/) ? extname(path) : '') || specifier;
}

/** Top-level await of a plugin must not hold up the start for ever. */
async function loadWithin(
  { load }: ImportGuard,
  candidate: PluginCandidate,
  timeoutMs: number,
): Promise<LoadedPlugin> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const message = `Plugin "${candidate.specifier}" could not be imported within ${timeoutMs} ms (LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS)`;
    timer = setTimeout(() => reject(new PluginTimeoutError(message)), timeoutMs);
  });
  try {
    return await Promise.race([load(candidate), late]);
  } finally {
    clearTimeout(timer);
  }
}
