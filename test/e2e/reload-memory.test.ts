import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startGateway, writeFiles } from '../support/gateway-process.ts';
import { admin, WITH_ADMIN } from './support.ts';

const RELOADS = 12;
/** The one that serves, the one that is being retired, and what V8 has not let go of yet. */
const FEW = 4;

/** What every generation of plugins has of its own, by module. */
const PARTS = {
  PluginRegistry: 'lifecycle/registry.ts',
  Starter: 'lifecycle/start.ts',
  Claims: 'composition/claims.ts',
  NextGeneration: 'composition/next-generation.ts',
  IsolatedPlugin: 'isolation/host/isolated-plugin.ts',
  Successor: 'isolation/host/successor.ts',
  PluginProcess: 'isolation/host/plugin-process.ts',
  Services: 'isolation/host/services.ts',
  Channel: 'isolation/channel/channel.ts',
} as const;

/** To count its objects V8 collects the heap for each class, and the loop of a busy machine stands still meanwhile. */
const PATIENCE = { LLMROUTER_PLUGINS_STALL_TIMEOUT_MS: '60000' };

/** Answers with how many objects of each class are alive after a collection. */
function census(): string {
  const imports = Object.entries(PARTS).map(([name, path]) => {
    const url = pathToFileURL(join(import.meta.dirname, '../../src', path)).href;
    return `import { ${name} } from ${JSON.stringify(url)};`;
  });
  return `
    import { queryObjects } from 'node:v8';
    ${imports.join('\n')}
    const classes = { ${Object.keys(PARTS).join(', ')} };
    export default {
      metadata: { name: 'census', version: '1.0.0', capabilities: ['ROUTES'] },
      startup(app) {
        app.get('/census', (_req, res) => {
          res.json(Object.fromEntries(Object.entries(classes).map(([name, each]) => [name, queryObjects(each)])));
        });
      },
    };`;
}

/** Keeps in its module all that a plugin is given, as many do. */
function keeper(version: number, startup = ''): Record<string, string> {
  return {
    'plugins/keeper/package.json': JSON.stringify({ type: 'module', version: `${version}.0.0` }),
    'plugins/keeper/index.js': `
      let kept;
      export default {
        metadata: { name: 'keeper', version: '${version}.0.0', capabilities: ['ROUTES', 'MIDDLEWARE'] },
        startup(app, context) {
          kept = { app, context };
          app.get('/keeper', (_req, res) => { res.send('${version}'); });
          app.llm({ onRequest: () => undefined });
          ${startup}
        },
      };`,
  };
}

describe('a version that is gone', () => {
  const tiers = {
    inline: {},
    'inline, with its tier known from its code': { LLMROUTER_PLUGINS_ISOLATION: 'keeper=inline' },
    process: { LLMROUTER_PLUGINS_ISOLATION: 'keeper=process' },
  };
  for (const [tier, env] of Object.entries(tiers)) {
    test(`keeps nothing of its generation in memory: ${tier}`, async (t) => {
      const gateway = await startGateway(t, {
        env: { ...WITH_ADMIN, ...PATIENCE, ...env },
        files: { 'plugins/census.mjs': census(), ...keeper(1) },
      });
      for (let version = 2; version < RELOADS + 2; version++) {
        const isBroken = version % 2 === 1;
        writeFiles(gateway.dir, keeper(version, isBroken ? 'throw new Error("broken");' : ''));
        const answer = await admin(gateway, '/plugins/reload', { method: 'POST' });
        assert.equal(answer.status, isBroken ? 422 : 200, await answer.text());
      }
      const alive = (await (await fetch(`${gateway.url}/census`)).json()) as Record<string, number>;
      const many = Object.entries(alive).filter(([, count]) => count > FEW);
      assert.deepEqual(many, [], `after ${RELOADS} reloads, every other of them broken`);
      assert.ok(alive.PluginRegistry, 'the classes are those of the gateway');
    });
  }
});
