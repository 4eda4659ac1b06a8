import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import type { GatewayConfig } from '../../src/config/types.ts';
import { ConfigError } from '../../src/errors.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** A folder with the given files, removed after the test. */
export function workspace(t: TestContext, files: Readonly<Record<string, string | Uint8Array>> = {}): string {
  const cwd = mkdtempSync(join(tmpdir(), 'routeiq-config-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(cwd, name), content);
  return cwd;
}

/** The configuration of an environment in a folder that does not exist, so that no file is found. */
export function loadEnv(env: Env, isTTY = false): GatewayConfig {
  return loadConfig({ env, cwd: '/nowhere/at/all', isTTY, cores: 3 });
}

/** The configuration of a `gateway.yaml`. */
export function loadYaml(t: TestContext, yaml: string | Uint8Array, env: Env = {}): GatewayConfig {
  return loadConfig({ env, cwd: workspace(t, { 'gateway.yaml': yaml }), isTTY: false, cores: 3 });
}

/** The problems that `load` fails with; none when it does not fail. */
export function problemsOf(load: () => unknown): readonly string[] {
  try {
    load();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
