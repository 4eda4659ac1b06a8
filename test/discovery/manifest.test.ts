import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseManifest } from '../../src/discovery/manifest.ts';

function problemOf(pkg: Record<string, unknown>): string {
  try {
    parseManifest(pkg, 'p');
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error);
    assert.equal(error.code, 'plugin_load');
    return error.message;
  }
  return assert.fail('was accepted');
}

suite('parseManifest', () => {
  test('reads every field', () => {
    const settings = { type: 'object', properties: { threshold: { type: 'number', default: 0.7 } } };
    const manifest = parseManifest(
      {
        name: '@acme/guard',
        version: '1.2.0',
        description: 'Guards',
        llmrouter: {
          entry: './dist/index.js',
          name: 'guard',
          capabilities: ['EVALUATOR'],
          dependsOn: ['base', { name: 'keys', version: '^2', optional: true }],
          priority: 100,
          failureMode: 'quarantine',
          activation: { env: ['ACME_URL'] },
          isolation: 'process',
          settings,
        },
      },
      '@acme/guard',
    );
    assert.deepEqual(manifest?.metadata, {
      name: 'guard',
      version: '1.2.0',
      description: 'Guards',
      capabilities: ['EVALUATOR'],
      dependsOn: [
        { name: 'base', version: '*', optional: false },
        { name: 'keys', version: '^2', optional: true },
      ],
      priority: 100,
      failureMode: 'quarantine',
      isolation: 'process',
      failClosed: false,
      failOpen: false,
      settings,
    });
    assert.equal(manifest.packageName, '@acme/guard');
    assert.equal(manifest.entry, './dist/index.js');
    assert.deepEqual(manifest.activation, { env: ['ACME_URL'] });
    assert.ok(Object.isFrozen(manifest.metadata.settings?.properties));
  });

  test('is null without the field, and all defaults with an empty one', () => {
    assert.equal(parseManifest({ name: 'p' }, 'p'), null);
    const manifest = parseManifest({ llmrouter: {} }, 'plugins/hello');
    assert.equal(manifest?.metadata.name, 'hello');
    assert.equal(manifest.metadata.capabilities, null);
    assert.deepEqual(manifest.declared, {});
    assert.deepEqual(manifest.activation, { env: [] });
  });

  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ llmrouter: 'yes' }, /llmrouter is "yes", expected an object/],
    [{ llmrouter: null }, /llmrouter is null, expected an object/],
    [{ llmrouter: { priority: 'high' } }, /llmrouter\.priority is "high", expected an integer/],
    [
      { llmrouter: { capabilities: ['ROUTES', 'FLY'] } },
      /llmrouter\.capabilities\[1\] is "FLY", expected .*ROUTES, ROUTING_STRATEGY/,
    ],
    [{ llmrouter: { capabilities: 'ROUTES' } }, /llmrouter\.capabilities is "ROUTES", expected an array/],
    [{ llmrouter: { name: '../x' } }, /llmrouter\.name is "\.\.\/x", expected letters/],
    [
      { llmrouter: { failureMode: 'explode' } },
      /llmrouter\.failureMode is "explode", expected continue, abort, quarantine/,
    ],
    [{ llmrouter: { isolation: 'vm' } }, /llmrouter\.isolation is "vm", expected inline or process/],
    [
      { llmrouter: { dependsOn: [{ name: 'a', version: 'newest' }] } },
      /llmrouter\.dependsOn\[0\]\.version is "newest"/,
    ],
    [{ llmrouter: { dependsOn: [{ nme: 'a' }] } }, /llmrouter\.dependsOn\[0\]/],
    [
      { llmrouter: { activation: { env: ['NOT A NAME'] } } },
      /llmrouter\.activation is .*names of environment variables/,
    ],
    [{ llmrouter: { activation: { envs: [] } } }, /llmrouter\.activation is/],
    [{ llmrouter: { entry: 7 } }, /llmrouter\.entry is 7, expected a path/],
    [
      { llmrouter: { depends_on: ['a'] } },
      /llmrouter\.depends_on is not a field of a manifest, expected dependsOn/,
    ],
    [
      { llmrouter: { sandbox: true } },
      /llmrouter\.sandbox is not a field of a manifest, expected one of name, /,
    ],
    [{ version: 'new', llmrouter: {} }, /version is "new", expected a semantic version/],
    [{ llmrouter: { settings: true } }, /llmrouter\.settings is true, expected an object/],
  ];
  for (const [pkg, message] of wrong) {
    test(`names field, seen and expected: ${JSON.stringify(pkg)}`, () =>
      assert.match(problemOf(pkg), message));
  }

  test('reports all problems together', () => {
    assert.match(
      problemOf({ llmrouter: { priority: 'x', failOpen: 1 } }),
      /priority is "x".*; .*failOpen is 1/,
    );
  });
});
