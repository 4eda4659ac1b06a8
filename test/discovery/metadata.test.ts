import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseManifest } from '../../src/discovery/manifest.ts';
import { resolveMetadata } from '../../src/discovery/metadata.ts';
import type { ResolvedMetadata } from '../../src/discovery/types.ts';
import { PLUGIN_CAPABILITIES } from '../../src/plugin-api/capability.ts';

function resolve(plugin: object, llmrouter?: Record<string, unknown>, className = 'Klass'): ResolvedMetadata {
  const manifest = llmrouter === undefined ? null : parseManifest({ name: '@acme/p', llmrouter }, 'p');
  return resolveMetadata(plugin, { specifier: 'p', className, manifest });
}

function withMetadata(metadata: unknown): { metadata: unknown } {
  return { metadata };
}

suite('resolveMetadata: "Plugin Metadata"', () => {
  test('reads every field', () => {
    const metadata = {
      name: 'my-plugin',
      version: '1.0.0',
      capabilities: ['ROUTES', 'MIDDLEWARE', 'ROUTES'],
      dependsOn: ['other-plugin', { name: 'keys', version: '>=1 <3' }],
      priority: 100,
      failureMode: ' Continue ',
      description: 'Does something useful',
      isolation: 'process',
      failClosed: true,
      failOpen: true,
      settings: { type: 'object' },
    };
    const resolved = resolve(withMetadata(metadata));
    assert.deepEqual(resolved, {
      ...metadata,
      capabilities: ['ROUTES', 'MIDDLEWARE'],
      dependsOn: [
        { name: 'other-plugin', version: '*', optional: false },
        { name: 'keys', version: '>=1 <3', optional: false },
      ],
      failureMode: 'continue',
    });
    assert.ok(Object.isFrozen(resolved.dependsOn[0]));
  });

  test('keeps its own copy: what the plugin changes later has no effect', () => {
    const metadata = {
      name: 'a',
      capabilities: ['ROUTES'],
      settings: { properties: { a: { type: 'object' } } },
    };
    const resolved = resolve(withMetadata(metadata));
    metadata.capabilities.push('MIDDLEWARE');
    metadata.settings.properties.a.type = 'null';
    assert.deepEqual(
      [resolved.capabilities, resolved.settings],
      [['ROUTES'], { properties: { a: { type: 'object' } } }],
    );
  });

  test('fills in the defaults', () => {
    assert.deepEqual(resolve(withMetadata({ name: 'a' })), {
      name: 'a',
      version: '0.0.0',
      description: '',
      capabilities: null,
      dependsOn: [],
      priority: 1000,
      failureMode: null,
      isolation: 'inline',
      failClosed: false,
      failOpen: false,
      settings: null,
    });
  });

  test('takes capabilities as an array or a Set, and an empty one for none at all', () => {
    const all = resolve(withMetadata({ name: 'a', capabilities: new Set(PLUGIN_CAPABILITIES) }));
    assert.deepEqual(all.capabilities, PLUGIN_CAPABILITIES);
    assert.deepEqual(resolve(withMetadata({ name: 'a', capabilities: [] })).capabilities, []);
    assert.deepEqual(resolve(withMetadata({ name: 'a', capabilities: new Set() })).capabilities, []);
  });

  test('reads a getter on the class, and fields behind getters', () => {
    class Metadata {
      get name(): string {
        return 'behind-a-getter';
      }
    }
    class Plugin {
      get metadata(): Metadata {
        return new Metadata();
      }
    }
    assert.equal(resolve(new Plugin()).name, 'behind-a-getter');
  });

  test("lets an author's own keys be, also names of object internals", () => {
    const metadata = { name: '__proto__', author: 'me', homepage: 'x', date: 'y', license: 'MIT' };
    assert.equal(resolve(withMetadata(metadata)).name, '__proto__');
    assert.equal(resolve(withMetadata({ name: 'constructor', toString: undefined })).name, 'constructor');
  });

  const wrong: [string, unknown, RegExp][] = [
    ['no object', 'my-plugin', /metadata is "my-plugin", expected an object/],
    ['null', null, /metadata is null, expected an object/],
    ['a method', () => ({}), /metadata is a function, expected an object/],
    ['no name', { version: '1.0.0' }, /metadata\.name is .*, expected letters/],
    ['an empty name', { name: '' }, /metadata\.name is "", expected letters/],
    ['a name with a line break', { name: 'a\nb' }, /metadata\.name is "a\\nb"/],
    ['a name of 129 letters', { name: 'a'.repeat(129) }, /metadata\.name is "a+…/],
    [
      'a version that is none',
      { name: 'a', version: '1.0' },
      /metadata\.version is "1\.0", expected a semantic version/,
    ],
    [
      'an unknown capability',
      { name: 'a', capabilities: new Set(['ROUTES', 'routes']) },
      /metadata\.capabilities\[1\] is "routes"/,
    ],
    [
      'a priority that is none',
      { name: 'a', priority: Number.NaN },
      /metadata\.priority is NaN, expected an integer/,
    ],
    ['an infinite priority', { name: 'a', priority: Infinity }, /metadata\.priority is Infinity/],
    [
      'an unknown mode',
      { name: 'a', failureMode: 'ignore' },
      /metadata\.failureMode is "ignore", expected continue/,
    ],
    ['a symbol', { name: Symbol('x') }, /metadata\.name is Symbol\(x\)/],
    [
      'depends_on',
      { name: 'a', depends_on: ['b'] },
      /metadata\.depends_on is not a field of metadata, expected dependsOn/,
    ],
    ['failure_mode', { name: 'a', failure_mode: 'abort' }, /expected failureMode/],
    ['a misspelling', { name: 'a', capabilites: [] }, /expected capabilities/],
    [
      'a field of the manifest',
      { name: 'a', activation: {} },
      /metadata\.activation is without effect in code/,
    ],
    ['settings that are no JSON', { name: 'a', settings: { check: () => true } }, /metadata\.settings/],
  ];
  for (const [what, metadata, message] of wrong) {
    test(`refuses ${what}`, () => {
      assert.throws(() => resolve(withMetadata(metadata)), { code: 'plugin_load', message });
    });
  }

  test('turns whatever metadata throws into plugin_load', () => {
    const throwing = new Proxy(
      {},
      {
        has: () => true,
        get: () => {
          throw 'gotcha';
        },
        ownKeys: () => {
          throw new Error('keys');
        },
      },
    );
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    const hostile: object[] = [
      {
        get metadata(): never {
          throw new Error('no metadata for you');
        },
      },
      throwing,
      withMetadata(throwing),
      withMetadata({ name: 'a', capabilities: throwing }),
      withMetadata({ name: 'a', settings: cyclic }),
      {
        get metadata(): never {
          throw throwing;
        },
      },
      withMetadata({
        get name(): never {
          throw undefined;
        },
      }),
    ];
    for (const plugin of hostile) assert.throws(() => resolve(plugin), { code: 'plugin_load' });
  });
});

suite('resolveMetadata: "Backwards Compatibility"', () => {
  test('gives a legacy plugin its class name, version 0.0.0, priority 1000, mode continue and no declared capabilities', () => {
    const { name, version, capabilities, priority, failureMode } = resolve({}, undefined, 'LegacyPlugin');
    assert.deepEqual(
      { name, version, capabilities, priority, failureMode },
      { name: 'LegacyPlugin', version: '0.0.0', capabilities: null, priority: 1000, failureMode: 'continue' },
    );
  });

  test('makes a plugin name of any class name', () => {
    assert.equal(resolve({}, undefined, 'Plugin$1').name, 'Plugin_1');
    assert.equal(resolve({}, undefined, 'Ünï').name, '_n_');
    assert.equal(resolve({}, undefined, '__proto__').name, '__proto__');
  });
});

suite('resolveMetadata: with a manifest', () => {
  test('takes the manifest where it speaks and the code where it does not', () => {
    const code = { name: 'p', capabilities: ['ROUTES'], priority: 5, description: 'code', version: '2.0.0' };
    const resolved = resolve(withMetadata(code), { capabilities: ['ROUTES', 'MIDDLEWARE'], priority: 50 });
    assert.deepEqual(
      [resolved.capabilities, resolved.priority, resolved.description, resolved.version],
      [['ROUTES'], 50, 'code', '2.0.0'],
    );
  });

  test('gives code without metadata what the manifest says', () => {
    const resolved = resolve({}, { capabilities: ['ROUTES'], failureMode: 'abort' });
    assert.deepEqual(
      [resolved.name, resolved.capabilities, resolved.failureMode],
      ['p', ['ROUTES'], 'abort'],
    );
    assert.equal(resolve({}, {}).capabilities, null);
    assert.equal(resolve(withMetadata({}), { name: 'said' }).name, 'said');
  });

  test('lets the code name a plugin that the manifest leaves nameless', () => {
    assert.equal(resolve(withMetadata({ name: 'from-code' }), { capabilities: [] }).name, 'from-code');
  });

  const excesses: [string, Record<string, unknown>, Record<string, unknown>][] = [
    ['capabilities', { capabilities: ['ROUTES', 'MIDDLEWARE'] }, { capabilities: ['ROUTES'] }],
    ['capabilities', { capabilities: ['ROUTES'] }, { capabilities: [] }],
    ['name', { name: 'admin' }, { name: 'p' }],
    ['dependsOn', { dependsOn: ['a', 'b'] }, { dependsOn: ['a'] }],
    ['failureMode', { failureMode: 'abort' }, { failureMode: 'continue' }],
    ['failOpen', { failOpen: true }, { failOpen: false }],
  ];
  for (const [field, code, manifest] of excesses) {
    test(`refuses code that asks for more: ${JSON.stringify(code)} against ${JSON.stringify(manifest)}`, () => {
      assert.throws(() => resolve(withMetadata({ name: 'p', ...code }), manifest), {
        code: 'plugin_security',
        message: new RegExp(`asks for more than its manifest says: metadata\\.${field} is`),
      });
    });
  }
});
