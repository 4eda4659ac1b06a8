import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Logger } from 'winston';
import type { GatewayConfig, IsolationPolicy, PermissionGrants } from '../config/types.ts';
import type { Containment } from '../containment/containment.ts';
import { loadPlugin } from '../discovery/load.ts';
import { resolveMetadata } from '../discovery/metadata.ts';
import type { CopiedFrom } from '../discovery/snapshot-resolution.ts';
import type { LoadedPlugin, PluginCandidate, ResolvedMetadata } from '../discovery/types.ts';
import { PluginLoadError } from '../errors.ts';
import type { IsolationTier } from '../plugin-api/metadata.ts';
import { IsolatedPlugin, type IsolationParts } from './host/isolated-plugin.ts';
import { probeWalls, type Walls } from './host/sandbox.ts';
import { grantPermissions } from './permissions.ts';

export interface TierLoaderOptions {
  readonly config: GatewayConfig;
  readonly log: Logger;
  readonly containment: Containment;
}

interface LoaderParts extends IsolationParts {
  readonly permissions: PermissionGrants;
}

/** Imports plugins where their code is to run. */
export interface PluginLoader {
  /** @param copied what the candidate's files are a copy of, if they are one */
  load(candidate: PluginCandidate, copied?: CopiedFrom | null): Promise<LoadedPlugin>;
  /** True: in a process of its own, whatever its code says. Reads the module that the plugin is entered by. */
  isAside(candidate: PluginCandidate): boolean;
}

/**
 * Imports a plugin where its code is to run: in this process, or in one of its own. What the operator, the manifest or
 * the code asks for, the strictest of them counts; where that is known only when the code has been read, it is read in
 * a process of its own.
 */
export function createTierLoader({ config, log, containment }: TierLoaderOptions): PluginLoader {
  const {
    isolation,
    memoryLimitBytes: memoryBytes,
    stallTimeoutMs,
    callTimeoutMs,
    allowedCapabilities,
  } = config.plugins;
  const stallMs = stallTimeoutMs === 0 ? callTimeoutMs : Math.min(stallTimeoutMs, callTimeoutMs);
  const limits = { memoryBytes, stallMs, startMs: config.plugins.startupTimeoutMs };
  const { permissions } = config.plugins;
  let walls: Walls | null = null;
  const parts = (): LoaderParts => {
    walls ??= probe(log);
    return {
      log,
      debug: config.debug,
      containment,
      walls,
      limits,
      permissions,
      allowed: allowedCapabilities,
    };
  };
  const isAside = (candidate: PluginCandidate): boolean => tierBeforeLoad(candidate, isolation) === 'process';
  const load: PluginLoader['load'] = async (candidate, copied = null) => {
    const tier = tierBeforeLoad(candidate, isolation);
    if (tier === 'inline') return loadPlugin(candidate);
    const { isolated, metadata, loaded } = await loadIsolated(candidate, copied, parts());
    if (tier === 'process' || tierOf(metadata, isolation) === 'process') return loaded;
    isolated.giveUp();
    return loadPlugin(candidate);
  };
  return { load, isAside };
}

function probe(log: Logger): Walls {
  const walls = probeWalls();
  if (!walls.namespaces) {
    const message =
      "plugins in processes of their own have no namespaces of their own: only Node's permission model stands between them and this machine";
    log.warn(message, { event: 'isolation_without_namespaces', ...walls });
  }
  return walls;
}

/** `unknown`: the code has to be asked. */
function tierBeforeLoad(candidate: PluginCandidate, policy: IsolationPolicy): IsolationTier | 'unknown' {
  const { manifest } = candidate;
  if (manifest !== null) {
    const tier = tierOf(manifest.metadata, policy);
    return tier === 'process' || manifest.declared.isolation !== undefined || !mentionsIsolation(candidate)
      ? tier
      : 'unknown';
  }
  if (policy.byName.size > 0 || mentionsIsolation(candidate)) return 'unknown';
  return policy.all;
}

function tierOf({ name, isolation }: ResolvedMetadata, { all, byName }: IsolationPolicy): IsolationTier {
  return isolation === 'process' ? isolation : (byName.get(name) ?? all);
}

/** Metadata that asks for a process has the word in it, as a rule in the module that the plugin is entered by. */
function mentionsIsolation({ entry }: PluginCandidate): boolean {
  return entry !== null && readFileSync(entry, 'utf8').includes('isolation');
}

async function loadIsolated(
  candidate: PluginCandidate,
  copied: CopiedFrom | null,
  parts: LoaderParts,
): Promise<{
  readonly isolated: IsolatedPlugin;
  /** As its code has it. */
  readonly metadata: ResolvedMetadata;
  readonly loaded: LoadedPlugin;
}> {
  const { root, entry, isFile, specifier, problem } = candidate;
  if (problem !== null || root === null || entry === null)
    throw problem ?? new PluginLoadError(`Plugin "${specifier}" has no entry`);
  const code = isFile ? entry : root;
  const isolated = new IsolatedPlugin({
    ...parts,
    candidate,
    copied,
    cwd: isFile ? dirname(entry) : root,
    sandbox: {
      code,
      modulesOf: copied === null ? code : copied.importer,
      grants: grantPermissions(candidate, parts.permissions.get(candidate.manifest?.metadata.name ?? '')),
      memoryBytes: parts.limits.memoryBytes,
    },
  });
  const report = await isolated.load();
  const metadata = checkMetadata(candidate, report.metadata);
  const { name, capabilities: declared, failClosed } = metadata;
  const loaded = Object.freeze({
    plugin: isolated.toPlugin({ name, declared, failClosed }, report.has),
    metadata: Object.freeze({ ...metadata, isolation: 'process' as const }),
  });
  return { isolated, metadata, loaded };
}

/** As code's own metadata is checked in this process: the plugin's process may say anything. */
function checkMetadata(candidate: PluginCandidate, told: ResolvedMetadata): ResolvedMetadata {
  const { specifier, manifest } = candidate;
  const entries = Object.entries(told).filter(([, value]) => value !== null);
  const className = typeof told.name === 'string' ? told.name : basename(specifier);
  return resolveMetadata({ metadata: Object.fromEntries(entries) }, { specifier, className, manifest });
}
