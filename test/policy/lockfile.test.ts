import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { checkLock } from '../../src/policy/lockfile.ts';

const seen = (digest: string, files: Readonly<Record<string, string>>) => ({
  digest,
  files: new Map(Object.entries(files)),
});
const locked = (digest: string, files: Readonly<Record<string, string>>) => ({
  specifier: 'plugins/x',
  source: 'folder' as const,
  package: null,
  ...seen(digest, files),
});

suite('checkLock', () => {
  test('lets a plugin load whose digest is the locked one', () => {
    assert.equal(checkLock('plugins/x', locked('d', { a: '1' }), seen('d', { a: '1' })), null);
  });

  test('refuses a plugin that was not locked, and says what to do', () => {
    const refusal = checkLock('plugins/x', undefined, seen('d', {}));
    assert.equal(refusal?.code, 'plugin_security');
    assert.match(refusal.message, /"plugins\/x" is not in the lock file/);
    assert.match(refusal.hint ?? '', /routeiq plugins lock/);
  });

  test('says which files have changed, were added and were removed', () => {
    const refusal = checkLock(
      'plugins/x',
      locked('d', { a: '1', b: '1', c: '1' }),
      seen('e', { a: '2', b: '1', n: '1' }),
    );
    assert.equal(refusal?.code, 'plugin_security');
    assert.match(refusal.message, /: "a" has changed, "n" was added, "c" was removed$/);
    assert.match(refusal.hint ?? '', /routeiq plugins lock/);
  });

  test('names a few files and counts the rest', () => {
    const refusal = checkLock(
      'plugins/x',
      locked('d', {}),
      seen('e', { a: '1', b: '1', c: '1', d: '1', e: '1' }),
    );
    assert.match(refusal?.message ?? '', /: "a" was added, "b" was added, "c" was added and 2 more$/);
  });

  test('refuses by the digest, also when the list of files says nothing', () => {
    assert.match(
      checkLock('plugins/x', locked('d', {}), seen('e', {}))?.message ?? '',
      /the digests differ$/,
    );
  });

  test('treats files with names of object internals like any other', () => {
    const refusal = checkLock('p', locked('d', {}), { digest: 'e', files: new Map([['__proto__', '1']]) });
    assert.match(refusal?.message ?? '', /"__proto__" was added$/);
  });

  test('shows control characters of file names as escapes', () => {
    assert.match(
      checkLock('p', locked('d', {}), seen('e', { 'a\nb': '1' }))?.message ?? '',
      /"a\\nb" was added/,
    );
  });
});
