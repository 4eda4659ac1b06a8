import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseManifest } from '../../src/discovery/manifest.ts';
import { checkActivation } from '../../src/policy/activation.ts';

suite('checkActivation', () => {
  const manifest = parseManifest({ llmrouter: { activation: { env: ['ACME_URL', 'ACME_KEY'] } } }, 'p');

  test('names every variable that is missing', () => {
    assert.equal(checkActivation(manifest, new Set()), 'Inactive until ACME_URL and ACME_KEY are set');
    assert.equal(checkActivation(manifest, new Set(['ACME_URL'])), 'Inactive until ACME_KEY is set');
  });

  test('asks for one of several', () => {
    const either = parseManifest({ llmrouter: { activation: { anyOf: ['ACME_URL', 'ACME_FILE'] } } }, 'p');
    assert.equal(checkActivation(either, new Set(['HOME'])), 'Inactive until ACME_URL or ACME_FILE is set');
    assert.equal(checkActivation(either, new Set(['ACME_FILE'])), null);
  });

  test('asks for what the configuration file names', () => {
    const anyOf = ['ACME_URL', 'provider:acme', 'provider:acme-eu', 'strategy:fastest'];
    const named = parseManifest({ llmrouter: { activation: { anyOf } } }, 'p');
    assert.equal(
      checkActivation(named, new Set(['provider:openai'])),
      'Inactive until ACME_URL is set, or model_list has a model of acme or acme-eu, or router_settings.routing_strategy is fastest',
    );
    for (const one of anyOf) assert.equal(checkActivation(named, new Set([one])), null);
    assert.throws(() => parseManifest({ llmrouter: { activation: { env: ['provider:acme'] } } }, 'p'), {
      code: 'plugin_load',
    });
  });

  test('has nothing to say when all are set, or none is asked for', () => {
    assert.equal(checkActivation(manifest, new Set(['ACME_KEY', 'ACME_URL', 'HOME'])), null);
    assert.equal(checkActivation(parseManifest({ llmrouter: {} }, 'p'), new Set()), null);
    assert.equal(checkActivation(null, new Set()), null);
  });
});
