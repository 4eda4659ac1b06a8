import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, type TestContext, test } from 'node:test';
import { Router } from 'express';
import { discover } from '../../src/discovery/candidates.ts';
import { installHostModule } from '../../src/discovery/host-module.ts';
import { loadPlugin } from '../../src/discovery/load.ts';
import type { LoadedPlugin, PluginCandidate } from '../../src/discovery/types.ts';
import type { PluginApp, PluginContext } from '../../src/plugin-api/index.ts';
import * as hostModule from '../../src/plugin-api/index.ts';
import { checkAllowlist } from '../../src/policy/allowlist.ts';
import { checkCapabilities } from '../../src/policy/capabilities.ts';
import { pluginSource, type TreeNode, tree } from './tree.ts';

function candidateOf(t: TestContext, files: Record<string, TreeNode>, specifier: string): PluginCandidate {
  const [candidate] = discover({ specifiers: [specifier], dirs: [], cwd: tree(t, files) });
  assert.ok(candidate !== undefined);
  assert.equal(candidate.problem, null);
  return candidate;
}

async function load(
  t: TestContext,
  files: Record<string, TreeNode>,
  specifier: string,
): Promise<LoadedPlugin> {
  return loadPlugin(candidateOf(t, files, specifier));
}

/** Starts a plugin that answers with something, as those of these tests do. */
async function answer({ plugin }: LoadedPlugin): Promise<unknown> {
  return plugin.startup({} as PluginApp, {} as PluginContext);
}

suite('loadPlugin: kinds of module', () => {
  const modules: [string, Record<string, TreeNode>, string, string][] = [
    ['an ES module', { 'p.mjs': pluginSource('esm') }, './p.mjs', 'esm'],
    ['a CommonJS class', { 'p.cjs': 'module.exports = class Legacy { startup() {} };' }, './p.cjs', 'Legacy'],
    [
      'a CommonJS instance',
      { 'p.cjs': 'class One { startup() {} }\nmodule.exports = new One();' },
      './p.cjs',
      'One',
    ],
    [
      'exports.default',
      { 'p.cjs': 'exports.__esModule = true; exports.default = class Two { startup() {} };' },
      './p.cjs',
      'Two',
    ],
    [
      'a CommonJS table',
      { 'p.cjs': 'module.exports = { helper() {}, Three: class Three { startup() {} } };' },
      './p.cjs',
      'Three',
    ],
    [
      'computed CommonJS names',
      { 'p.cjs': 'module.exports["Fo" + "ur"] = class Four { startup() {} };' },
      './p.cjs#Four',
      'Four',
    ],
    [
      'a static of a CommonJS class',
      { 'p.cjs': 'module.exports = class A {}; module.exports["F" + "ive"] = class Five { startup() {} };' },
      './p.cjs#Five',
      'Five',
    ],
    [
      'TypeScript',
      { 'p.ts': 'export default class Typed { startup(app: unknown): void {} }' },
      './p.ts',
      'Typed',
    ],
    [
      'a folder with TypeScript',
      {
        'f/index.ts':
          'import { x } from "./x.ts"; export default class { metadata = { name: x as string }; startup() {} }',
        'f/x.ts': 'export const x: string = "six";',
      },
      './f',
      'six',
    ],
    [
      'a package',
      {
        'node_modules/p/package.json': { name: 'p', type: 'module', main: 'i.js' },
        'node_modules/p/i.js': pluginSource('seven'),
      },
      'p',
      'seven',
    ],
    [
      'the dotted form',
      { 'mypackage/myplugin.mjs': 'export class MyPlugin { startup() {} }' },
      'mypackage.myplugin.MyPlugin',
      'MyPlugin',
    ],
    ['a top-level await', { 'p.mjs': `await null;${pluginSource('eight')}` }, './p.mjs', 'eight'],
  ];
  for (const [what, files, specifier, name] of modules) {
    test(`loads ${what}`, async (t) => {
      assert.equal((await load(t, files, specifier)).metadata.name, name);
    });
  }

  test('loads two plugins that bring different versions of one dependency', async (t) => {
    const dependent = 'import { version } from "dep"; export default class { startup() { return version; } }';
    const cwd = tree(t, {
      'plugins/a/index.mjs': dependent,
      'plugins/a/node_modules/dep/package.json': { name: 'dep', version: '1.0.0', exports: './d.mjs' },
      'plugins/a/node_modules/dep/d.mjs': 'export const version = 1;',
      'plugins/b/index.cjs':
        'const { version } = require("dep"); module.exports = class { startup() { return version; } };',
      'plugins/b/node_modules/dep/package.json': { name: 'dep', version: '2.0.0', main: 'd.cjs' },
      'plugins/b/node_modules/dep/d.cjs': 'exports.version = 2;',
      'plugins/c.mjs': dependent,
      'node_modules/dep/index.js': 'exports.version = 3;',
    });
    const loaded = await Promise.all(discover({ specifiers: [], dirs: ['plugins'], cwd }).map(loadPlugin));
    assert.deepEqual(await Promise.all(loaded.map(answer)), [1, 2, 3]);
  });
});

suite('loadPlugin: choice of the export', () => {
  const module = `
    export const helper = () => {};
    export class Config {}
    export class Named { startup() {} }
    export const object = { metadata: { name: 'object' }, startup() {} };
    export default class Chosen { startup() {} }`;
  test('takes the named export, else default', async (t) => {
    const files = { 'p.mjs': module };
    assert.equal((await load(t, files, './p.mjs')).metadata.name, 'Chosen');
    assert.equal((await load(t, files, './p.mjs#Named')).metadata.name, 'Named');
    assert.equal((await load(t, files, './p.mjs#object')).metadata.name, 'object');
    assert.equal((await load(t, files, './p.mjs#default')).metadata.name, 'Chosen');
  });

  test('takes the only exported plugin when there is no default', async (t) => {
    const source =
      'export class Config {} export const x = 1; export class Only { startup() {} } export { Only as Alias };';
    assert.equal((await load(t, { 'p.mjs': source }, './p.mjs')).metadata.name, 'Only');
  });

  test('takes the only exported class when startup is a field of its objects', async (t) => {
    const source = 'export function helper() {} export class Only { startup = () => {}; }';
    assert.equal((await load(t, { 'p.mjs': source }, './p.mjs')).metadata.name, 'Only');
  });

  test('finds exports that are called like object internals, and no internals', async (t) => {
    const source = 'class P { startup() {} } export { P as __proto__, P as constructor };';
    assert.equal((await load(t, { 'p.mjs': source }, './p.mjs#__proto__')).metadata.name, 'P');
    await assert.rejects(load(t, { 'p.mjs': source }, './p.mjs#toString'), { code: 'plugin_load' });
  });

  const refusals: [string, string, string, RegExp][] = [
    ['no plugin', 'export const a = 1, b = 2;', './p.mjs', /exports no plugin \(seen: a, b\)/],
    ['nothing', '', './p.mjs', /exports no plugin \(seen: nothing\)/],
    [
      'several',
      'export class A { startup() {} } export class B { startup() {} }',
      './p.mjs',
      /exports several plugins: A, B/,
    ],
    [
      'a missing name',
      'export class A { startup() {} }',
      './p.mjs#B',
      /no plugin as its export "B" \(seen: A\)/,
    ],
    ['a wrong name', 'export const A = 1;', './p.mjs#A', /export "A" \(it is no class and has no startup/],
    [
      'no startup',
      'export default class { shutdown() {} }',
      './p.mjs',
      /startup of its export "default" is missing, expected a function/,
    ],
    [
      'a bad shutdown',
      'export default { startup() {}, shutdown: 5 };',
      './p.mjs',
      /shutdown of its export "default" is 5/,
    ],
    [
      'static metadata',
      'export default class { static metadata = { name: "x" }; startup() {} }',
      './p.mjs',
      /metadata is static/,
    ],
    [
      'an abstract constructor',
      'export default class { constructor() { throw new Error("no database"); } startup() {} }',
      './p.mjs',
      /its constructor threw: no database/,
    ],
    [
      'a constructor that throws a hostile proxy',
      'const trap = () => { throw new Error("boo"); }; export default class { constructor() { throw new Proxy({}, { getPrototypeOf: trap, get: trap }); } startup() {} }',
      './p.mjs',
      /its constructor threw: .*cannot be read/,
    ],
    [
      'a hostile object',
      'export default new Proxy({}, { get() { throw new Error("boo"); }, has() { throw new Error("boo"); } });',
      './p.mjs',
      /boo/,
    ],
  ];
  for (const [what, source, specifier, message] of refusals) {
    test(`refuses a module with ${what}`, async (t) => {
      await assert.rejects(load(t, { 'p.mjs': source }, specifier), { code: 'plugin_load', message });
    });
  }

  test('does not let a plugin pass its own error off as a refusal by policy', async (t) => {
    const source = `import { PluginSecurityError } from 'routeiq-gateway/plugin';
      export default class { constructor() { throw new PluginSecurityError('plugin_security', 'mine'); } startup() {} }`;
    const uninstall = installHostModule();
    t.after(uninstall);
    await assert.rejects(load(t, { 'p.mjs': source }, './p.mjs'), { code: 'plugin_load' });
  });
});

suite('loadPlugin: what can go wrong with an import', () => {
  const failures: [string, Record<string, TreeNode>, string, RegExp, RegExp | undefined][] = [
    [
      'an error',
      { 'p.mjs': 'throw new Error("no licence");' },
      './p.mjs',
      /^Plugin "\.\/p\.mjs" cannot be imported: no licence$/,
      undefined,
    ],
    ['a string', { 'p.mjs': 'throw "tantrum";' }, './p.mjs', /tantrum/, undefined],
    ['undefined', { 'p.mjs': 'throw undefined;' }, './p.mjs', /undefined/, undefined],
    ['a rejection', { 'p.mjs': 'await Promise.reject(new Error("late"));' }, './p.mjs', /late$/, undefined],
    [
      'a hostile error',
      { 'p.mjs': 'throw Object.defineProperty(new Error("x"), "message", { get() { throw 1; } });' },
      './p.mjs',
      /cannot be read/,
      undefined,
    ],
    [
      'a syntax error',
      { 'p.mjs': 'export default class {' },
      './p.mjs',
      /cannot be imported: Unexpected end of input/,
      undefined,
    ],
    [
      'a missing package',
      { 'p.mjs': 'import "left-pad-9";' },
      './p.mjs',
      /: Cannot find package 'left-pad-9'$/,
      /npm install/,
    ],
    [
      'a missing package in CommonJS',
      { 'p.cjs': 'require("left-pad-9");' },
      './p.cjs',
      /: Cannot find module 'left-pad-9'$/,
      /npm install/,
    ],
    [
      'a missing file',
      { 'p.mjs': 'import "./x.mjs";' },
      './p.mjs',
      /: Cannot find module '\.\/x\.mjs'$/,
      undefined,
    ],
    ['an enum', { 'p.ts': 'enum X { A }' }, './p.ts', /enum is not supported/, /strips types/],
    [
      'a value import of a type',
      { 'p.ts': 'import { T } from "./t.ts";', 't.ts': 'export type T = 1;' },
      './p.ts',
      /export named 'T'/,
      /import type/,
    ],
    ['CommonJS in a module', { 'p.mjs': 'module.exports = 1;' }, './p.mjs', /module is not defined/, /\.cjs/],
    [
      'TypeScript in a package',
      {
        'node_modules/p/package.json': { name: 'p', main: 'i.ts' },
        'node_modules/p/i.ts': 'export default 1;',
      },
      'p',
      /node_modules/,
      /publish the package as JavaScript/,
    ],
  ];
  for (const [what, files, specifier, message, hint] of failures) {
    test(`explains ${what} and shows no path of this machine`, async (t) => {
      const candidate = candidateOf(t, files, specifier);
      await assert.rejects(loadPlugin(candidate), (error: Error & { code?: string; hint?: string }) => {
        assert.equal(error.code, 'plugin_load');
        assert.match(error.message, message);
        if (hint === undefined) assert.equal(error.hint, undefined);
        else assert.match(error.hint ?? '', hint);
        assert.ok(!error.message.includes(candidate.root ?? '?'));
        return true;
      });
    });
  }

  test('refuses a candidate with a problem, with that problem', async (t) => {
    const [candidate] = discover({ specifiers: ['../x'], dirs: [], cwd: tree(t, {}) });
    assert.ok(candidate !== undefined);
    await assert.rejects(loadPlugin(candidate), { code: 'plugin_security' });
  });
});

suite('loadPlugin: metadata', () => {
  test('"Quick Start": reads name, version, capabilities and description of a class', async (t) => {
    const source = `export class MyPlugin {
      metadata = { name: 'my-plugin', version: '1.0.0', capabilities: ['ROUTES'], description: 'My custom plugin' };
      async startup(app, context) {}
      async shutdown(app, context) {}
    }`;
    const { metadata } = await load(t, { 'mypackage/myplugin.mjs': source }, 'mypackage.myplugin.MyPlugin');
    const { name, version, capabilities, description } = metadata;
    assert.deepEqual(
      { name, version, capabilities, description },
      { name: 'my-plugin', version: '1.0.0', capabilities: ['ROUTES'], description: 'My custom plugin' },
    );
  });

  test('"Backwards Compatibility": loads a plugin without metadata and context', async (t) => {
    const source =
      'export default class LegacyPlugin { async startup(app) { return "started"; } async shutdown(app) {} }';
    const loaded = await load(t, { 'p.mjs': source }, './p.mjs');
    assert.equal(loaded.metadata.name, 'LegacyPlugin');
    assert.equal(checkCapabilities(loaded.metadata, []), null);
    assert.equal(await answer(loaded), 'started');
  });

  test('calls a nameless legacy plugin after its export, else its file or folder', async (t) => {
    const files = {
      'one.mjs': 'export default class { startup() {} }',
      'two/index.mjs': 'export default { startup() {} };',
      'three.mjs': 'export const three = { startup() {} };',
      'four.cjs': 'module.exports = class { startup() {} };',
    };
    assert.equal((await load(t, files, './one.mjs')).metadata.name, 'one');
    assert.equal((await load(t, files, './two')).metadata.name, 'two');
    assert.equal((await load(t, files, './three.mjs')).metadata.name, 'three');
    assert.equal((await load(t, files, './four.cjs#default')).metadata.name, 'four');
  });

  test('refuses code that asks for more than its manifest says', async (t) => {
    const files = {
      'p/package.json': { type: 'module', llmrouter: { capabilities: ['ROUTES'] } },
      'p/index.js': pluginSource('p', 'ROUTES', 'MIDDLEWARE'),
    };
    await assert.rejects(load(t, files, './p'), { code: 'plugin_security' });
  });
});

suite('nothing of a plugin runs before policy', () => {
  const canary = `import { writeFileSync } from 'node:fs';
    writeFileSync(new URL('./canary', import.meta.url), '');`;

  async function admit(
    t: TestContext,
    pkg: Record<string, unknown>,
    allowlist: string[] | null,
  ): Promise<{ code: string | undefined; ran: boolean }> {
    const cwd = tree(t, {
      'plugins/p/package.json': pkg,
      'plugins/p/index.mjs': canary + pluginSource('p', 'ROUTES'),
    });
    const [candidate] = discover({ specifiers: [], dirs: ['plugins'], cwd });
    assert.ok(candidate !== undefined);
    const manifest = candidate.manifest?.metadata ?? null;
    const refusal =
      checkAllowlist(candidate, allowlist) ??
      (manifest === null ? null : checkCapabilities(manifest, ['MIDDLEWARE']));
    const loaded = refusal === null ? await loadPlugin(candidate) : null;
    const after = refusal ?? (loaded === null ? null : checkCapabilities(loaded.metadata, ['MIDDLEWARE']));
    return { code: after?.code, ran: existsSync(join(cwd, 'plugins/p/canary')) };
  }

  test('"Plugin Allowlist": a plugin that is not allowlisted is not run', async (t) => {
    assert.deepEqual(await admit(t, { main: 'index.mjs' }, []), {
      code: 'plugin_not_allowlisted',
      ran: false,
    });
  });

  test('"Capability Security Policy": with a manifest the code is not run', async (t) => {
    const pkg = { llmrouter: { capabilities: ['ROUTES'] } };
    assert.deepEqual(await admit(t, pkg, null), { code: 'plugin_capability_denied', ran: false });
  });

  test('"Capability Security Policy": without a manifest the loaded code is asked', async (t) => {
    assert.deepEqual(await admit(t, {}, ['plugins/p']), { code: 'plugin_capability_denied', ran: true });
  });
});

suite('installHostModule', () => {
  let uninstall: () => void;
  before(() => {
    uninstall = installHostModule();
  });
  after(() => uninstall());

  const asksExpress = 'class Guest { startup() { return Router; } }';
  for (const [file, source] of [
    ['p.mjs', `import { Router } from 'express'; export default ${asksExpress}`],
    ['p.cjs', `const { Router } = require('express'); module.exports = ${asksExpress}`],
  ] as const) {
    test(`lends express to a plugin that has none (${file})`, async (t) => {
      assert.equal(await answer(await load(t, { [file]: source }, `./${file}`)), Router);
    });
  }

  test('leaves a plugin its own express, and lends nothing else', async (t) => {
    const own = {
      'p/index.mjs': `import { Router } from 'express'; export default ${asksExpress}`,
      'p/node_modules/express/package.json': { name: 'express', exports: './x.mjs' },
      'p/node_modules/express/x.mjs': 'export const Router = "own";',
    };
    assert.equal(await answer(await load(t, own, './p')), 'own');
    const other = { 'q.mjs': "import 'helmet'; export default class {}" };
    await assert.rejects(load(t, other, './q.mjs'), { code: 'plugin_load' });
  });

  const body = 'class Guest extends GatewayPlugin { startup() { return GatewayPlugin; } }';
  const guests: [string, Record<string, TreeNode>, string][] = [
    [
      'an ES module',
      { 'p.mjs': `import { GatewayPlugin } from 'routeiq-gateway/plugin'; export default ${body}` },
      './p.mjs',
    ],
    [
      'CommonJS',
      { 'p.cjs': `const { GatewayPlugin } = require('routeiq-gateway/plugin'); module.exports = ${body}` },
      './p.cjs',
    ],
    [
      'TypeScript',
      { 'p.ts': `import { GatewayPlugin, type PluginApp } from 'routeiq-gateway/plugin'; export ${body}` },
      './p.ts',
    ],
    [
      'a dynamic import',
      { 'p.mjs': `const { GatewayPlugin } = await import('routeiq-gateway/plugin'); export default ${body}` },
      './p.mjs',
    ],
    [
      'a plugin that brings a copy of its own',
      {
        'p/index.mjs': `import { GatewayPlugin } from 'routeiq-gateway/plugin'; export default ${body}`,
        'p/node_modules/routeiq-gateway/package.json': {
          name: 'routeiq-gateway',
          exports: { './plugin': './x.mjs' },
        },
        'p/node_modules/routeiq-gateway/x.mjs': 'export class GatewayPlugin {}',
      },
      './p',
    ],
  ];
  for (const [what, files, specifier] of guests) {
    test(`gives ${what} outside of the project the gateway's own copy`, async (t) => {
      const loaded = await load(t, files, specifier);
      assert.equal(loaded.metadata.name, 'Guest');
      assert.equal(await answer(loaded), hostModule.GatewayPlugin);
    });
  }

  test('loads definePlugin({ ... })', async (t) => {
    const source = `import { definePlugin } from 'routeiq-gateway/plugin';
      export default definePlugin({ metadata: { name: 'defined' }, startup() {} });`;
    assert.equal((await load(t, { 'p.mjs': source }, './p.mjs')).metadata.name, 'defined');
  });
});
