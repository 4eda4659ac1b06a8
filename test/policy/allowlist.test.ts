import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { checkAllowlist } from '../../src/policy/allowlist.ts';

const candidate = {
  specifier: './plugins/hello',
  names: ['./plugins/hello', 'plugins/hello', '@acme/hello'],
};

suite('checkAllowlist: "Plugin Allowlist"', () => {
  test('lets any plugin load when the list is not set', () => {
    assert.equal(checkAllowlist(candidate, null), null);
  });

  test('lets no plugin load when the list is empty', () => {
    const refusal = checkAllowlist(candidate, []);
    assert.equal(refusal?.code, 'plugin_not_allowlisted');
    assert.match(refusal.message, /"\.\/plugins\/hello" .* is empty/);
  });

  test('lets a plugin load by each of its names', () => {
    for (const name of candidate.names) assert.equal(checkAllowlist(candidate, ['other', name]), null);
  });

  test('matches exactly and with case', () => {
    for (const name of [
      'plugins/Hello',
      'plugins/hell',
      'plugins/hello/',
      ' plugins/hello',
      'plugins/*',
      'hello',
      '',
    ]) {
      assert.equal(checkAllowlist(candidate, [name])?.code, 'plugin_not_allowlisted', name);
    }
  });

  test('says what to add', () => {
    const refusal = checkAllowlist(candidate, ['myorg.approved.Plugin1']);
    assert.match(refusal?.message ?? '', /has myorg\.approved\.Plugin1/);
    assert.match(refusal?.hint ?? '', /add ".\/plugins\/hello" or "plugins\/hello" or "@acme\/hello"/);
  });

  test('treats names of object internals like any other', () => {
    assert.equal(
      checkAllowlist({ specifier: '__proto__', names: ['__proto__'] }, ['a'])?.code,
      'plugin_not_allowlisted',
    );
    assert.equal(checkAllowlist({ specifier: '__proto__', names: ['__proto__'] }, ['__proto__']), null);
  });
});
