import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import type { ContributionSummary } from '../../src/contributions.ts';
import { inspectPlugin, listPlugins, WITH_ADMIN } from '../e2e/support.ts';
import { startGateway, tempDir } from '../support/gateway-process.ts';
import { RedisServer, WITHOUT_REDIS } from '../support/redis-server.ts';
import { type Example, exampleOf, PLUGINS_DIR, type PluginPackage, readPackages } from './package.ts';

/** Where a plugin's code runs: the suite is run for each. */
const TIERS = ['inline', 'process'] as const;

/** Plugins that start programs have to run in the gateway's own process. */
const INLINE_ONLY: ReadonlySet<string> = new Set(['mcp-servers']);

/** What the operator of that tier sets, with all that the plugins ask for. */
const PROCESS_TIER = {
  LLMROUTER_PLUGINS_ISOLATION: 'process',
  LLMROUTER_PLUGINS_PERMISSIONS: 'storage-redis:net,otel:net',
};

/** What stands in for parts of a README's example that lead to services elsewhere. */
interface Stage {
  readonly skip: string | false;
  set(t: TestContext): Promise<Partial<Example>>;
}

const EVERYTHING = join(
  import.meta.dirname,
  '../../node_modules/@modelcontextprotocol/server-everything/dist/index.js',
);

const STAGES: Readonly<Record<string, Stage>> = {
  'storage-redis': {
    skip: WITHOUT_REDIS,
    async set(t) {
      const server = await RedisServer.start();
      t.after(() => server.stop());
      return { env: { REDIS_URL: server.url } };
    },
  },
  'mcp-servers': {
    skip: false,
    async set() {
      const servers = { every: { command: process.execPath, args: [EVERYTHING] } };
      return { yaml: JSON.stringify({ plugins: { 'mcp-servers': { servers } } }) };
    },
  },
};

const packages = readPackages();

describe('plugins/ without a configuration', () => {
  it('leaves every plugin alone that nobody has switched on, and has nothing to complain about', async (t) => {
    const gateway = await startGateway(t, { env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_DIR: PLUGINS_DIR } });
    const { plugins } = await listPlugins(gateway);
    for (const { name, state } of plugins)
      assert.equal(state, isOptional(name) ? 'inactive' : 'started', name);
    assert.deepEqual(complaints(gateway.log), []);
  });
});

for (const tier of TIERS) {
  for (const plugin of packages) {
    if (tier === 'process' && INLINE_ONLY.has(plugin.name)) continue;
    describe(`plugins/${plugin.name}, ${tier}`, { skip: STAGES[plugin.name]?.skip ?? false }, () => {
      it('starts as its README shows, and uses just the capabilities that it declares', async (t) => {
        const { yaml, env } = await exampleFor(t, plugin);
        const gateway = await startGateway(t, {
          env: { ...environmentFor(plugin, tier), ...env, ...WITH_ADMIN },
          files: { 'gateway.yaml': yaml },
        });
        const { state, isolation, capabilities, contributes, reason } = await inspectPlugin(
          gateway,
          plugin.name,
        );
        assert.equal(state, 'started', JSON.stringify(reason));
        assert.equal(isolation, tier);
        assert.deepEqual([...capabilities].sort(), usedBy(contributes as unknown as ContributionSummary));
        assert.deepEqual(complaints(gateway.log), []);
        assert.equal(await gateway.stop(), 0);
        assert.deepEqual(complaints(gateway.log), []);
      });

      it('starts and stops twice in one process, and leaves nothing behind that keeps it alive', async (t) => {
        const { yaml, env } = await exampleFor(t, plugin);
        const dir = tempDir(t, { 'gateway.yaml': yaml });
        const { code, output } = await runTwice(t, dir, { ...environmentFor(plugin, tier), ...env });
        assert.equal(code, 0, output);
        assert.match(output, /^stopped twice$/m);
      });
    });
  }
}

/** Without `activation` a plugin is there for everybody. */
function isOptional(name: string): boolean {
  const plugin = packages.find((each) => each.name === name);
  if (plugin === undefined) return true;
  const { env, anyOf = [] } = plugin.manifest.activation;
  return env.length + anyOf.length > 0;
}

async function exampleFor(t: TestContext, plugin: PluginPackage): Promise<Example> {
  const example = exampleOf(plugin);
  assert.ok(example !== null || !isOptional(plugin.name), 'README.md has no example');
  const { yaml = example?.yaml ?? '{}', env } = (await STAGES[plugin.name]?.set(t)) ?? {};
  return { yaml, env: { ...example?.env, ...env } };
}

function environmentFor({ dir }: PluginPackage, tier: string): Readonly<Record<string, string>> {
  return { LLMROUTER_PLUGINS: dir, ...(tier === 'process' && PROCESS_TIER) };
}

/** The capabilities that its contributions need. */
function usedBy(contributes: ContributionSummary): string[] {
  const used: Readonly<Record<string, number | boolean>> = {
    ROUTES: contributes.routes.length,
    MIDDLEWARE: contributes.middleware + contributes.hooks,
    ROUTING_STRATEGY: contributes.strategies.length,
    TOOL_RUNTIME: contributes.toolRuntimes,
    EVALUATOR: contributes.evaluators.length,
    OBSERVABILITY_EXPORTER: contributes.exporters.length,
    AUTH_PROVIDER: contributes.authProviders.length,
    STORAGE_BACKEND: contributes.storageBackend,
    PROVIDER: contributes.providers.length,
  };
  return Object.keys(used)
    .filter((capability) => Boolean(used[capability]))
    .sort();
}

function complaints(log: readonly Readonly<Record<string, unknown>>[]): unknown[] {
  return log.filter(({ level }) => level === 'warn' || level === 'error');
}

/**
 * Ends by itself, or not at all: what a plugin has left open would keep it from ending.
 *
 * The limit is only there to tell the two apart. Plugin processes give way to all others (`nice`), so that
 * on a busy machine they take many times what they take alone.
 */
async function runTwice(
  t: TestContext,
  dir: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(
    process.execPath,
    ['--conditions=routeiq-source', join(import.meta.dirname, 'run-twice.ts')],
    {
      cwd: dir,
      env: { PATH: process.env.PATH, HOME: dir, PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
      killSignal: 'SIGKILL',
    },
  );
  t.after(() => child.kill('SIGKILL'));
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output: (await output).join('') };
}
