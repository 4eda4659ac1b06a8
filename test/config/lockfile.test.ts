import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { formatLock, type LockedPlugin } from '../../src/config/lockfile.ts';
import { problemsOf, workspace } from './workspace.ts';

const DIGEST = `sha256-${'A'.repeat(43)}=`;
const LOCKED: LockedPlugin = {
  specifier: 'plugins/hello',
  source: 'folder',
  package: { name: 'hello', llmrouter: { capabilities: [] } },
  digest: DIGEST,
  files: new Map([
    ['index.js', DIGEST],
    ['link.js', 'link:index.js'],
  ]),
};

const ENV = { LLMROUTER_PLUGINS_LOCKFILE: 'some.lock' };

function load(t: TestContext, content: string | Uint8Array): ReturnType<typeof loadConfig> {
  return loadConfig({ env: ENV, cwd: workspace(t, { 'some.lock': content }), isTTY: false });
}

/** A lock file of one plugin with other fields. */
function lockWith(fields: Readonly<Record<string, unknown>>): string {
  const plugin = { ...LOCKED, files: Object.fromEntries(LOCKED.files), ...fields };
  return JSON.stringify({ version: 1, plugins: [plugin] });
}

suite('LLMROUTER_PLUGINS_LOCKFILE', () => {
  test('is found from the working directory, and read as it was written', (t) => {
    const cwd = workspace(t, { 'some.lock': formatLock([LOCKED]) });
    const { lockfile, lock } = loadConfig({ env: ENV, cwd, isTTY: false }).plugins;
    assert.equal(lockfile, join(cwd, 'some.lock'));
    assert.deepEqual(
      [...(lock?.values() ?? [])].map(({ files, ...facts }) => ({ ...facts, files: new Map(files) })),
      [LOCKED],
    );
  });

  test('gives the same text for the same plugins in any order', () => {
    const other = { ...LOCKED, specifier: '@acme/guard' };
    assert.equal(formatLock([LOCKED, other]), formatLock([other, LOCKED]));
    assert.match(formatLock([LOCKED, other]), /@acme\/guard[\s\S]*plugins\/hello/);
  });

  test('cannot be changed once it is read', (t) => {
    const { lock } = load(t, formatLock([LOCKED])).plugins;
    const files = lock?.get('plugins/hello')?.files;
    assert.throws(() => (lock as Map<string, LockedPlugin>).delete('plugins/hello'), TypeError);
    assert.throws(() => (files as Map<string, string>).set('index.js', DIGEST), TypeError);
  });

  const BAD: Readonly<Record<string, string | Uint8Array>> = {
    'no JSON': '{',
    empty: '',
    'not UTF-8': Buffer.from('{"a":"\uFEFF"}', 'utf16le'),
    'of another version': JSON.stringify({ version: 2, plugins: [] }),
    'no lock file': JSON.stringify({ lockfileVersion: 3, packages: {} }),
    'with a field that nobody knows': lockWith({ signed: true }),
    'with a weaker digest': lockWith({ digest: 'sha1-AAAA' }),
    'with a file without digest': lockWith({ files: { 'index.js': '' } }),
    'with a plugin twice': formatLock([LOCKED, LOCKED]),
  };
  for (const [how, content] of Object.entries(BAD)) {
    test(`is a problem of configuration when it is ${how}`, (t) => {
      const problems = problemsOf(() => load(t, content));
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', /^LLMROUTER_PLUGINS_LOCKFILE: some\.lock: .*expected/);
    });
  }

  test('need not be there when it is about to be written', (t) => {
    const { lockfile, lock } = loadConfig({
      env: ENV,
      cwd: workspace(t),
      isTTY: false,
      readsLock: false,
    }).plugins;
    assert.match(lockfile ?? '', /\/some\.lock$/);
    assert.equal(lock, null);
  });
});
