import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway-process.ts';

const MANIFEST = JSON.stringify({
  type: 'module',
  llmrouter: { name: 'auth', entry: './index.js', capabilities: ['AUTH_PROVIDER'] },
});
const WORKING = `export default {
  metadata: { name: 'auth', capabilities: ['AUTH_PROVIDER'] },
  startup(app) { app.authProvider({ name: 'a', authenticate: () => ({ id: 'x' }) }); },
};`;

/** Ways in which a plugin that should authenticate does not start. */
const BROKEN: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'has no entry point': {},
  'cannot be imported': { 'plugins/auth/index.js': 'syntax error' },
  'throws in startup': {
    'plugins/auth/index.js': WORKING.replace('app.authProvider', 'throw app.authProvider'),
  },
  'asks for more than its manifest': {
    'plugins/auth/index.js': WORKING.replace("['AUTH_PROVIDER']", "['AUTH_PROVIDER', 'ROUTES']"),
  },
};

for (const [how, files] of Object.entries(BROKEN)) {
  test(`nobody gets in while an auth plugin ${how}`, async (t) => {
    const gateway = await startGateway(t, { files: { 'plugins/auth/package.json': MANIFEST, ...files } });
    const answer = await fetch(`${gateway.url}/v1/models`);
    assert.equal(answer.status, 503);
    assert.equal(((await answer.json()) as { error: { code: string } }).error.code, 'auth_unavailable');
    assert.equal((await fetch(`${gateway.url}/healthz`)).status, 200);
  });
}

test('an auth plugin that the operator excludes has no effect', async (t) => {
  const files = { 'plugins/auth/package.json': MANIFEST, 'plugins/auth/index.js': 'syntax error' };
  const env = { LLMROUTER_PLUGINS_ALLOWLIST: '' };
  const gateway = await startGateway(t, { files, env });
  assert.equal((await fetch(`${gateway.url}/v1/models`)).status, 200);
});

test('folders and settings that are not there are warned of', async (t) => {
  const gateway = await startGateway(t, {
    env: { LLMROUTER_PLUGIN_NOSUCH__KEY: 'secret-value', LLMROUTER_PLUGINS_DIR: 'plugins,absent' },
    files: {
      'gateway.yaml': 'plugins: { gret: { a: 1 } }\n',
      'plugins/greet.js': `export default {
        metadata: { name: 'greet', capabilities: [] }, startup() {} };`,
    },
  });
  const warnings = gateway.log
    .filter(({ event }) => event === 'plugin_warning')
    .map(({ message }) => message);
  assert.equal(warnings.length, 3);
  assert.match(warnings.join('\n'), /LLMROUTER_PLUGINS_DIR: the folder "absent" does not exist/);
  assert.match(warnings.join('\n'), /settings for "gret".*is "greet" meant\?/);
  assert.match(warnings.join('\n'), /LLMROUTER_PLUGIN_NOSUCH__KEY/);
  assert.doesNotMatch(JSON.stringify(gateway.log), /secret-value/);
});
