import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { digestPlugin, type PluginDigest } from '../../src/discovery/digest.ts';
import { addFiles, tree } from './tree.ts';

const FILES = {
  'package.json': { name: 'x' },
  'index.js': 'export {};',
  'lib/data.bin': 'data',
  'node_modules/dep/index.js': 'module.exports = 1;',
  '.hidden': 'x',
};

function digestFolder(root: string, except: string | null = null): Promise<PluginDigest> {
  return digestPlugin({ specifier: 'plugins/x', root, entry: join(root, 'index.js'), isFile: false }, except);
}

suite('digestPlugin', () => {
  test('covers every file below the root, node_modules and hidden ones too, by path', async (t) => {
    const { files, digest } = await digestFolder(tree(t, FILES));
    assert.deepEqual(
      [...files.keys()],
      ['.hidden', 'index.js', 'lib/data.bin', 'node_modules/dep/index.js', 'package.json'],
    );
    const sha = createHash('sha256').update('export {};').digest('base64');
    assert.equal(files.get('index.js'), `sha256-${sha}`);
    assert.match(digest, /^sha256-[A-Za-z0-9+/]{43}=$/);
  });

  test('is the same for the same files elsewhere, in whatever order they were made', async (t) => {
    const reversed = Object.fromEntries(Object.entries(FILES).reverse());
    assert.deepEqual(await digestFolder(tree(t, FILES)), await digestFolder(tree(t, reversed)));
  });

  const CHANGES: Readonly<Record<string, (root: string) => void>> = {
    'one byte more': (root) => appendFileSync(join(root, 'index.js'), '\n'),
    'a changed dependency': (root) =>
      writeFileSync(join(root, 'node_modules/dep/index.js'), 'module.exports = 2;'),
    'a changed package.json': (root) => writeFileSync(join(root, 'package.json'), '{"name":"y"}'),
    'an added file': (root) => addFiles(root, { 'lib/more.js': '' }),
    'a removed file': (root) => rmSync(join(root, '.hidden')),
    'a renamed file': (root) => renameSync(join(root, 'lib/data.bin'), join(root, 'lib/data2.bin')),
    'a file moved into another folder': (root) =>
      renameSync(join(root, 'lib/data.bin'), join(root, 'data.bin')),
    'an added link': (root) => symlinkSync('index.js', join(root, 'main.js')),
  };
  for (const [what, change] of Object.entries(CHANGES)) {
    test(`differs by ${what}`, async (t) => {
      const root = tree(t, FILES);
      const before = await digestFolder(root);
      change(root);
      assert.notEqual((await digestFolder(root)).digest, before.digest);
    });
  }

  test('tells a link from a file that has its text, and one link from another', async (t) => {
    const link = await digestFolder(tree(t, { ...FILES, 'a.js': { link: 'index.js' } }));
    const text = await digestFolder(tree(t, { ...FILES, 'a.js': 'index.js' }));
    const other = await digestFolder(tree(t, { ...FILES, 'a.js': { link: './index.js' } }));
    assert.equal(new Set([link.digest, text.digest, other.digest]).size, 3);
    assert.equal(link.files.get('a.js'), 'link:index.js');
  });

  test('takes a link inside by its text, without following it, also to a folder or to the root', async (t) => {
    const root = tree(t, { ...FILES, 'lib/self': { link: '..' }, deps: { link: 'node_modules' } });
    const { files } = await digestFolder(root);
    assert.equal(files.get('lib/self'), 'link:..');
    assert.equal(files.get('deps'), 'link:node_modules');
    assert.equal(
      [...files.keys()].some((name) => name.startsWith('deps/')),
      false,
    );
  });

  const ESCAPES: Readonly<Record<string, string>> = {
    'to a file outside': '../outside.js',
    'to an absolute path': '/etc/hostname',
    'to nothing outside': '../not-there-yet.js',
    'through a folder inside and out again': 'lib/../../outside.js',
    'to itself': 'a.js',
  };
  for (const [what, link] of Object.entries(ESCAPES)) {
    test(`refuses a link ${what}`, async (t) => {
      const folder = tree(t, { 'outside.js': '', 'x/index.js': '', 'x/lib/y.js': '', 'x/a.js': { link } });
      await assert.rejects(digestFolder(join(folder, 'x')), {
        code: 'plugin_security',
        message: /^Plugin "plugins\/x" cannot be locked: "a\.js" is a link that leads out/,
      });
    });
  }

  test('refuses a pipe, rather than waiting for it', async (t) => {
    const root = tree(t, FILES);
    execFileSync('mkfifo', [join(root, 'pipe')]);
    await assert.rejects(digestFolder(root), {
      code: 'plugin_security',
      message: /"pipe" is neither a file/,
    });
    const single = { specifier: 'p', root, entry: join(root, 'pipe'), isFile: true };
    await assert.rejects(digestPlugin(single, null), {
      code: 'plugin_security',
      message: /"pipe" is no file/,
    });
  });

  test('refuses names that are no text', async (t) => {
    const root = tree(t, FILES);
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x61, 0xff])]), '');
    await assert.rejects(digestFolder(root), { code: 'plugin_security', message: /not UTF-8/ });
  });

  test('refuses more bytes than a plugin may have', async (t) => {
    const root = tree(t, FILES);
    // Sparse: no byte of it is on the disk.
    truncateSync(join(root, 'lib/data.bin'), 1024 ** 3 + 1);
    await assert.rejects(digestFolder(root), {
      code: 'plugin_security',
      message: /more than 1073741824 bytes/,
    });
  });

  test('refuses what cannot be read', async (t) => {
    const root = tree(t, FILES);
    chmodSync(join(root, 'index.js'), 0);
    // Root reads all: there is nothing to refuse then.
    if (process.getuid?.() === 0) await digestFolder(root);
    else await assert.rejects(digestFolder(root), { code: 'plugin_security', message: /EACCES/ });
  });

  test('refuses a folder that has gone', async (t) => {
    await assert.rejects(digestFolder(join(tree(t, {}), 'gone')), {
      code: 'plugin_security',
      message: /ENOENT/,
    });
  });

  test('takes a single file alone, whatever lies beside it', async (t) => {
    const root = tree(t, { 'a.ts': 'a', 'b.ts': 'b' });
    const { files } = await digestPlugin(
      { specifier: 'a', root, entry: join(root, 'a.ts'), isFile: true },
      null,
    );
    assert.deepEqual([...files.keys()], ['a.ts']);
  });

  test('leaves one file out, by its exact path', async (t) => {
    const root = tree(t, { ...FILES, 'p.lock': '1', 'lib/p.lock': '2' });
    const { files } = await digestFolder(root, join(root, 'p.lock'));
    assert.equal(files.has('p.lock'), false);
    assert.equal(files.has('lib/p.lock'), true);
  });
});
