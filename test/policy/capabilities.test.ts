import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { PLUGIN_CAPABILITIES } from '../../src/plugin-api/capability.ts';
import { checkCapabilities } from '../../src/policy/capabilities.ts';

suite('checkCapabilities: "Capability Security Policy"', () => {
  test('allows a subset and nothing else', () => {
    const some = fc.subarray([...PLUGIN_CAPABILITIES]);
    fc.assert(
      fc.property(some, some, (capabilities, allowed) => {
        const refused = checkCapabilities({ name: 'p', capabilities }, allowed) !== null;
        assert.equal(refused, !new Set(capabilities).isSubsetOf(new Set(allowed)));
      }),
    );
  });

  test('allows all when the variable is not set, and none when it is empty', () => {
    const metadata = { name: 'p', capabilities: PLUGIN_CAPABILITIES };
    assert.equal(checkCapabilities(metadata, null), null);
    assert.equal(checkCapabilities(metadata, [])?.code, 'plugin_capability_denied');
    assert.equal(checkCapabilities({ name: 'p', capabilities: [] }, []), null);
  });

  test('lets a legacy plugin pass ("Backwards Compatibility")', () => {
    assert.equal(checkCapabilities({ name: 'p', capabilities: null }, []), null);
  });

  test('names the plugin, what it declares and what is allowed', () => {
    const refusal = checkCapabilities({ name: 'p', capabilities: ['ROUTES', 'MIDDLEWARE'] }, ['ROUTES']);
    assert.match(refusal?.message ?? '', /^Plugin "p" declares MIDDLEWARE, and .* allows ROUTES$/);
    assert.match(refusal?.hint ?? '', /add MIDDLEWARE to LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES/);
    assert.equal(refusal?.plugin, 'p');
  });
});
