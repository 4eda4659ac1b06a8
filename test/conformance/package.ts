import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { parseManifest } from '../../src/discovery/manifest.ts';
import type { PluginManifest } from '../../src/discovery/types.ts';

export const PLUGINS_DIR: string = join(import.meta.dirname, '../../plugins');

/** One package in `plugins/`, as the suite looks at it. */
export interface PluginPackage {
  readonly name: string;
  readonly dir: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly manifest: PluginManifest;
  readonly readme: string;
  /** Sources by path, without tests. */
  readonly sources: ReadonlyMap<string, string>;
}

/** Every package in `plugins/`. */
export function readPackages(): readonly PluginPackage[] {
  return readdirSync(PLUGINS_DIR)
    .filter((name) => existsSync(join(PLUGINS_DIR, name, 'index.ts')))
    .map(readPackage);
}

function readPackage(name: string): PluginPackage {
  const dir = join(PLUGINS_DIR, name);
  const json = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as Record<string, unknown>;
  const manifest = parseManifest(json, name);
  if (manifest === null) throw new Error(`plugins/${name} has no manifest`);
  const readme = existsSync(join(dir, 'README.md')) ? readFileSync(join(dir, 'README.md'), 'utf8') : '';
  const paths = globSync('**/*.{ts,js}', { cwd: dir, exclude: ['**/node_modules/**', 'test/**'] });
  const sources = new Map(paths.map((path) => [path, readFileSync(join(dir, path), 'utf8')]));
  return { name, dir, json, manifest, readme, sources };
}

/** A setting as the schema has it. */
export interface SettingSchema {
  readonly description?: string;
  readonly default?: unknown;
}

export function settingsOf({ manifest }: PluginPackage): ReadonlyMap<string, SettingSchema> {
  const { properties = {} } = (manifest.metadata.settings ?? {}) as {
    properties?: Record<string, SettingSchema>;
  };
  return new Map(Object.entries(properties));
}

export function requiredSettings({ manifest }: PluginPackage): readonly string[] {
  return ((manifest.metadata.settings ?? {}) as { required?: readonly string[] }).required ?? [];
}

/** How a README shows that its plugin is switched on. */
export interface Example {
  /** Text of `gateway.yaml`. */
  readonly yaml: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The first example of a README: a `yaml` block with settings or models; without one, variables in a `sh` block. */
export function exampleOf({ name, readme }: PluginPackage): Example | null {
  const blocks = [...readme.matchAll(/^```(yaml|sh)\n(.*?)^```/gms)];
  const ofKind = (wanted: string): string[] =>
    blocks.filter(([, kind]) => kind === wanted).map(([, , text = '']) => text);
  const yaml = ofKind('yaml').find((text) => isConfig(name, parse(text)));
  if (yaml !== undefined) return { yaml, env: referencesIn(yaml) };
  const env = ofKind('sh')
    .map(variablesIn)
    .find((found) => Object.keys(found).length > 0);
  return env === undefined ? null : { yaml: '{}', env };
}

function isConfig(name: string, value: unknown): boolean {
  const { plugins, model_list: models } = (value ?? {}) as { plugins?: object; model_list?: unknown };
  return models !== undefined || (plugins !== undefined && Object.hasOwn(plugins, name));
}

/** What the example expects the environment to have. */
function referencesIn(text: string): Record<string, string> {
  const names = [...text.matchAll(/os\.environ\/(\w+)/g)].map(([, name = '']) => name);
  return Object.fromEntries(names.map((name) => [name, 'a-value-of-the-example']));
}

function variablesIn(text: string): Record<string, string> {
  const found = [...text.matchAll(/^(LLMROUTER_\w+)=(.*)$/gm)];
  return Object.fromEntries(
    found.map(([, name = '', value = '']) => [name, value === '…' ? 'a-value-of-the-example' : value]),
  );
}
