import assert from 'node:assert/strict';
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { discover } from '../../src/discovery/candidates.ts';
import type { PluginCandidate } from '../../src/discovery/types.ts';
import { addFiles, pluginSource, tree } from './tree.ts';

interface Wanted {
  readonly specifiers?: string[];
  readonly dirs?: string[];
}

function find(cwd: string, { specifiers = [], dirs = [] }: Wanted): PluginCandidate[] {
  return discover({ specifiers, dirs, cwd });
}

function findOne(cwd: string, wanted: Wanted): PluginCandidate {
  const [candidate, ...others] = find(cwd, wanted);
  assert.ok(candidate !== undefined && others.length === 0);
  return candidate;
}

/** The entry below `cwd`, or the problem's code. */
function outcome(cwd: string, specifier: string): string {
  const { entry, exportName, problem } = findOne(cwd, { specifiers: [specifier] });
  if (problem !== null || entry === null) return problem?.code ?? 'nothing';
  return entry.slice(cwd.length + 1) + (exportName === null ? '' : `#${exportName}`);
}

suite('discover: specifiers', () => {
  test('finds files and folders below the working directory and by absolute path', (t) => {
    const cwd = tree(t, {
      'a/index.mjs': '',
      'b/package.json': { main: 'lib/main.cjs' },
      'b/lib/main.cjs': '',
      'c.ts': '',
      'd/package.json': { exports: { '.': { types: './x.d.ts', require: './no.cjs', import: './yes.mjs' } } },
      'd/yes.mjs': '',
      'e/package.json': { exports: './e.js', main: './no.js' },
      'e/e.js': '',
      'f/package.json': { llmrouter: { entry: './src/f.ts' }, exports: './no.js' },
      'f/src/f.ts': '',
      'index.js': '',
    });
    assert.equal(outcome(cwd, './a'), 'a/index.mjs');
    assert.equal(outcome(cwd, './a/'), 'a/index.mjs');
    assert.equal(outcome(cwd, './b#X'), 'b/lib/main.cjs#X');
    assert.equal(outcome(cwd, './c.ts'), 'c.ts');
    assert.equal(outcome(cwd, './c'), 'c.ts');
    assert.equal(outcome(cwd, './d'), 'd/yes.mjs');
    assert.equal(outcome(cwd, './e'), 'e/e.js');
    assert.equal(outcome(cwd, './f'), 'f/src/f.ts');
    assert.equal(outcome(cwd, `${cwd}/a`), 'a/index.mjs');
    assert.equal(outcome(cwd, `${cwd}/c.ts#C`), 'c.ts#C');
    assert.equal(outcome(cwd, '.'), 'index.js');
    assert.equal(outcome(cwd, 'a'), 'a/index.mjs');
  });

  test('resolves packages as import does: scopes, exports, conditions, main, parent folders', (t) => {
    const cwd = tree(t, {
      'node_modules/@acme/guard/package.json': {
        name: '@acme/guard',
        exports: { '.': { require: './r.cjs', import: './i.mjs' }, './extra': './x/extra.mjs' },
      },
      'node_modules/@acme/guard/i.mjs': '',
      'node_modules/@acme/guard/r.cjs': '',
      'node_modules/@acme/guard/x/extra.mjs': '',
      'node_modules/old/package.json': { name: 'old', main: 'lib' },
      'node_modules/old/lib/index.js': '',
      'node_modules/own/package.json': { name: 'own', llmrouter: { entry: 'plugin.js' }, main: 'lib.js' },
      'node_modules/own/plugin.js': '',
      'node_modules/own/lib.js': '',
      'node_modules/chart.js/package.json': { name: 'chart.js' },
      'node_modules/chart.js/index.js': '',
      'app/node_modules/near/index.cjs': '',
    });
    const app = join(cwd, 'app');
    const from = (specifier: string): string =>
      (findOne(app, { specifiers: [specifier] }).entry ?? '').slice(cwd.length + 1);
    assert.equal(from('@acme/guard'), 'node_modules/@acme/guard/i.mjs');
    assert.equal(from('@acme/guard/extra'), 'node_modules/@acme/guard/x/extra.mjs');
    assert.equal(from('old'), 'node_modules/old/lib/index.js');
    assert.equal(from('old/lib'), 'node_modules/old/lib/index.js');
    assert.equal(from('own'), 'node_modules/own/plugin.js');
    assert.equal(from('chart.js'), 'node_modules/chart.js/index.js');
    assert.equal(from('near'), 'app/node_modules/near/index.cjs');
    assert.equal(outcome(app, '@acme/guard/r.cjs'), 'plugin_load');
    assert.equal(outcome(app, 'fs'), 'plugin_load');
  });

  test('resolves the dotted form of "Enable the Plugin" in packages and in the working directory', (t) => {
    const cwd = tree(t, {
      'node_modules/mypackage/package.json': { name: 'mypackage' },
      'node_modules/mypackage/myplugin.js': '',
      'myorg/approved.ts': '',
      'node_modules/socket.io/index.js': '',
      'node_modules/socket/index.js': '',
      'node_modules/lower/case.mjs': '',
    });
    assert.equal(outcome(cwd, 'mypackage.myplugin.MyPlugin'), 'node_modules/mypackage/myplugin.js#MyPlugin');
    assert.equal(outcome(cwd, 'myorg.approved.Plugin1'), 'myorg/approved.ts#Plugin1');
    assert.equal(outcome(cwd, 'socket.io'), 'node_modules/socket.io/index.js');
    assert.equal(outcome(cwd, 'lower.case.plugin'), 'node_modules/lower/case.mjs#plugin');
    assert.equal(outcome(cwd, 'nowhere.to.Be'), 'plugin_load');
  });

  test('finds the package that the working directory belongs to', (t) => {
    const cwd = tree(t, { 'package.json': { name: '@acme/mine', main: 'm.js' }, 'm.js': '', 'src/x.js': '' });
    assert.equal(findOne(join(cwd, 'src'), { specifiers: ['@acme/mine'] }).entry, join(cwd, 'm.js'));
  });

  test('says what was looked for, and shows no path of this machine', (t) => {
    const { problem } = findOne(tree(t, {}), { specifiers: ['mypackage.myplugin.MyPlugin'] });
    assert.equal(
      problem?.message,
      'Plugin "mypackage.myplugin.MyPlugin" was not found: there is no package module "mypackage/myplugin" and no file or folder "./mypackage/myplugin"',
    );
  });

  test('keeps what is refused as a candidate with its problem', (t) => {
    const cwd = tree(t, { 'ok.js': '' });
    const found = find(cwd, { specifiers: ['../x', 'http://x.test/y.js', './ok.js'] });
    assert.deepEqual(
      found.map(({ specifier, problem }) => [specifier, problem?.code]),
      [
        ['../x', 'plugin_security'],
        ['http://x.test/y.js', 'plugin_security'],
        ['./ok.js', undefined],
      ],
    );
  });

  test('treats __proto__ and constructor as ordinary names', (t) => {
    const cwd = tree(t, {
      'plugins/__proto__/index.js': '',
      'plugins/constructor.js': '',
      'node_modules/constructor/index.js': '',
    });
    assert.deepEqual(
      find(cwd, { specifiers: ['constructor', 'toString'], dirs: ['plugins'] }).map((c) => [
        c.specifier,
        c.problem?.code,
      ]),
      [
        ['constructor', undefined],
        ['toString', 'plugin_load'],
        ['plugins/__proto__', undefined],
        ['plugins/constructor.js', undefined],
      ],
    );
  });
});

suite('discover: folders', () => {
  test('lists sub-folders and code files by name, whatever order they were made in', (t) => {
    const files = ['b.ts', 'a/index.js', 'Z.mjs', 'ä.js', 'a10.cjs', 'a2.js'];
    const ignored = [
      '.hidden/index.js',
      '.x.js',
      'node_modules/p/index.js',
      'b.d.ts',
      'b.test.ts',
      'README.md',
      'x.json',
    ];
    const names = (paths: string[]): string[] => {
      const cwd = tree(t, Object.fromEntries(paths.map((path) => [`plugins/${path}`, ''])));
      return find(cwd, { dirs: ['plugins'] }).map(({ specifier }) => specifier);
    };
    const expected = ['Z.mjs', 'a', 'a10.cjs', 'a2.js', 'b.ts', 'ä.js'].map((name) => `plugins/${name}`);
    assert.deepEqual(names([...files, ...ignored]), expected);
    assert.deepEqual(names([...ignored, ...files].reverse()), expected);
  });

  test('puts LLMROUTER_PLUGINS first, in its order, then the folders in theirs ("Load Order")', (t) => {
    const cwd = tree(t, { 'z.js': '', 'y.js': '', 'one/b.js': '', 'one/a.js': '', 'two/a.js': '' });
    assert.deepEqual(
      find(cwd, { specifiers: ['./z.js', './y.js'], dirs: ['two', 'one'] }).map(({ specifier, source }) => [
        specifier,
        source,
      ]),
      [
        ['./z.js', 'env'],
        ['./y.js', 'env'],
        ['two/a.js', 'folder'],
        ['one/a.js', 'folder'],
        ['one/b.js', 'folder'],
      ],
    );
  });

  test('names a plugin <folder>/<name>, with its other spellings and its package name', (t) => {
    const cwd = tree(t, {
      'plugins/hello/package.json': { name: '@acme/hello' },
      'plugins/hello/index.js': '',
      'plugins/one.ts': '',
      'plugins/two.ts': '',
      'plugins/two/index.js': '',
    });
    const names = (dir: string): string[][] =>
      find(cwd, { dirs: [dir] }).map((candidate) => [...candidate.names]);
    assert.deepEqual(names('plugins'), [
      ['plugins/hello', '@acme/hello'],
      ['plugins/one.ts', 'plugins/one'],
      ['plugins/two'],
      ['plugins/two.ts'],
    ]);
    assert.deepEqual(names('./plugins/')[0], ['plugins/hello', './plugins/hello', '@acme/hello']);
    assert.deepEqual(names(`${cwd}/plugins`)[2], [`${cwd}/plugins/two`]);
  });

  test('tells single files, whose folder others share, from folders and packages', (t) => {
    const cwd = tree(t, {
      'plugins/a/index.js': '',
      'plugins/b.js': '',
      'c.js': '',
      'node_modules/d/e.js': '',
    });
    assert.deepEqual(
      find(cwd, { specifiers: ['./c.js', 'd/e.js', './x'], dirs: ['plugins'] }).map(({ isFile }) => isFile),
      [true, false, false, false, true],
    );
  });

  test('finds nothing in a folder that is not there, but reports what is no folder', (t) => {
    const cwd = tree(t, { file: '' });
    assert.deepEqual(find(cwd, { dirs: ['plugins', 'extra'] }), []);
    assert.equal(findOne(cwd, { dirs: ['file'] }).problem?.code, 'plugin_load');
    assert.equal(findOne(cwd, { dirs: ['../extra'] }).problem?.code, 'plugin_security');
  });

  test('refuses names that would forge a line of the log', (t) => {
    const { problem } = findOne(tree(t, { 'plugins/a\nb/index.js': '' }), { dirs: ['plugins'] });
    assert.equal(problem?.code, 'plugin_security');
    assert.doesNotMatch(problem.message, /\n/);
  });

  test('reports a sub-folder without an entry point', (t) => {
    const { problem } = findOne(tree(t, { 'plugins/empty': null }), { dirs: ['plugins'] });
    assert.equal(problem?.message, 'Plugin "plugins/empty" has no entry point');
    assert.match(problem?.hint ?? '', /index\.js/);
  });
});

suite('discover: repeated plugins', () => {
  test('counts a plugin once, at its first place, under all its names', (t) => {
    const cwd = tree(t, {
      'plugins/hello/package.json': { name: 'hello-package' },
      'plugins/hello/index.js': '',
      'plugins/other/index.js': '',
    });
    const specifiers = [
      './plugins/hello',
      './plugins/hello/index.js',
      './plugins/hello',
      './plugins/hello#default',
    ];
    const [first, second, ...rest] = find(cwd, { specifiers, dirs: ['plugins', './plugins'] });
    assert.equal(rest.length, 0);
    assert.equal(first?.specifier, './plugins/hello');
    assert.equal(first.source, 'env');
    assert.deepEqual(
      new Set(first.names),
      new Set([...specifiers, 'plugins/hello', './plugins/hello', 'hello-package']),
    );
    assert.equal(second?.specifier, 'plugins/other');
  });

  test('keeps two exports of one module apart and adds no third for the folder', (t) => {
    const cwd = tree(t, { 'plugins/p/index.js': '' });
    const found = find(cwd, { specifiers: ['./plugins/p#A', './plugins/p#B'], dirs: ['plugins'] });
    assert.deepEqual(
      found.map(({ exportName, names }) => [exportName, names.includes('plugins/p')]),
      [
        ['A', true],
        ['B', true],
      ],
    );
  });

  test('takes <folder>/<name> in LLMROUTER_PLUGINS for that folder, not for a package', (t) => {
    const cwd = tree(t, {
      'plugins/hello/index.js': '',
      'plugins/one.ts': '',
      'node_modules/plugins/hello/index.js': '',
      'node_modules/plugins/package.json': { name: 'plugins' },
    });
    const found = find(cwd, { specifiers: ['plugins/one', 'plugins/hello#Hello'], dirs: ['plugins'] });
    assert.deepEqual(
      found.map(({ specifier, source, entry, exportName }) => [specifier, source, entry, exportName]),
      [
        ['plugins/one', 'env', join(cwd, 'plugins/one.ts'), null],
        ['plugins/hello#Hello', 'env', join(cwd, 'plugins/hello/index.js'), 'Hello'],
      ],
    );
  });

  test('does not let a folder pass for the package that its package.json names', (t) => {
    const cwd = tree(t, {
      'plugins/evil/package.json': { name: '@acme/guard' },
      'plugins/evil/index.js': '',
      'node_modules/@acme/guard/index.js': '',
    });
    const [first] = find(cwd, { specifiers: ['@acme/guard'], dirs: ['plugins'] });
    assert.equal(first?.entry, join(cwd, 'node_modules/@acme/guard/index.js'));
  });

  test('knows a package by the name it is installed under, not by the one it claims', (t) => {
    const cwd = tree(t, {
      'node_modules/evil/package.json': { name: '@acme/guard' },
      'node_modules/evil/index.js': '',
    });
    addFiles(cwd, {
      'node_modules/evil2/package.json': { name: '@acme/guard', llmrouter: { entry: 'index.js' } },
      'node_modules/evil2/index.js': '',
      'node_modules/evil2/extra.js': '',
    });
    assert.deepEqual(findOne(cwd, { specifiers: ['evil#Guard'] }).names, ['evil#Guard', 'evil']);
    assert.deepEqual(findOne(cwd, { specifiers: ['evil2'] }).names, ['evil2']);
    assert.deepEqual(findOne(cwd, { specifiers: ['evil2.extra.Guard'] }).names, [
      'evil2.extra.Guard',
      'evil2',
    ]);
  });
});

suite('discover: paths stay in their folder', () => {
  test('refuses links that lead out of a plugins folder and admits those that stay inside', (t) => {
    const cwd = tree(t, {
      'outside/index.js': '',
      'plugins/folder': { link: '../outside' },
      'plugins/file.js': { link: '../outside/index.js' },
      'plugins/inner/index.js': { link: '../../outside/index.js' },
      'plugins/..data/v1.js': '',
      'plugins/mounted.js': { link: '..data/v1.js' },
      'plugins/nowhere': { link: './absent' },
      'plugins/loop.js': { link: './loop.js' },
    });
    assert.deepEqual(
      Object.fromEntries(
        find(cwd, { dirs: ['plugins'] }).map((c) => [c.specifier, c.problem?.code ?? c.entry]),
      ),
      {
        'plugins/folder': 'plugin_security',
        'plugins/file.js': 'plugin_security',
        'plugins/inner': 'plugin_security',
        'plugins/mounted.js': join(cwd, 'plugins/..data/v1.js'),
        'plugins/nowhere': 'plugin_load',
        'plugins/loop.js': 'plugin_load',
      },
    );
  });

  test('refuses path specifiers that are, have or pass a link that leads out', (t) => {
    const cwd = tree(t, {
      'outside/index.js': '',
      'app/link': { link: '../outside' },
      'app/link.js': { link: '../outside/index.js' },
      'app/p/index.js': { link: '../q.js' },
      'app/q.js': '',
      'app/dir/q.js': { link: '../q.js' },
    });
    const app = join(cwd, 'app');
    for (const specifier of [
      './link',
      './link.js',
      './link/index.js',
      './p',
      './dir/q.js',
      'link',
      `${app}/link`,
    ]) {
      assert.equal(outcome(app, specifier), 'plugin_security', specifier);
    }
    assert.equal(outcome(app, './q.js'), 'q.js');
  });

  test('refuses entry points outside of the folder, in every field', (t) => {
    const cwd = tree(t, {
      'evil.js': '',
      'manifest/package.json': { llmrouter: { entry: '../evil.js' } },
      'encoded/package.json': { llmrouter: { entry: './%2e%2e/evil.js' } },
      'absolute/package.json': { llmrouter: { entry: '/etc/hostname' } },
      'main/package.json': { main: '../evil.js' },
      'exports/package.json': { exports: { import: './../evil.js' } },
      'linked/package.json': { llmrouter: { entry: './l.js' } },
      'linked/l.js': { link: '../evil.js' },
      'node_modules/pkg/package.json': { name: 'pkg', exports: './../../evil.js' },
      'node_modules/pkg2/package.json': { name: 'pkg2', exports: './l.js' },
      'node_modules/pkg2/l.js': { link: '../../evil.js' },
      'node_modules/pkg4/sub.js': { link: '../../evil.js' },
      'node_modules/pkg3/package.json': { name: 'pkg3', main: '../../evil.js' },
    });
    for (const specifier of [
      './manifest',
      './encoded',
      './absolute',
      './main',
      './exports',
      './linked',
      'pkg',
      'pkg2',
      'pkg3',
      'pkg4/sub.js',
      'pkg4.sub.Evil',
    ]) {
      assert.equal(outcome(cwd, specifier), 'plugin_security', specifier);
    }
  });

  test('follows the links by which npm and pnpm install packages', (t) => {
    const cwd = tree(t, {
      'packages/guard/package.json': { name: '@acme/guard', exports: './g.js' },
      'packages/guard/g.js': '',
      'node_modules/@acme/guard': { link: '../../packages/guard' },
    });
    const { root, entry } = findOne(cwd, { specifiers: ['@acme/guard'] });
    assert.equal(root, join(cwd, 'packages/guard'));
    assert.equal(entry, join(cwd, 'packages/guard/g.js'));
  });

  test('admits a plugins folder that is itself a link', (t) => {
    const cwd = tree(t, { 'mnt/hello/index.js': '', plugins: { link: './mnt' } });
    assert.equal(findOne(cwd, { dirs: ['plugins'] }).problem, null);
  });
});

suite('discover: manifests', () => {
  test('reads the manifest of folders and of packages', (t) => {
    const manifest = { capabilities: ['EVALUATOR'], activation: { env: ['ACME_URL'] } };
    const cwd = tree(t, {
      'plugins/guard/package.json': { name: '@acme/guard', version: '1.2.0', llmrouter: manifest },
      'plugins/guard/index.js': '',
      'node_modules/keys/package.json': { name: 'keys', main: 'k.js', llmrouter: manifest },
      'node_modules/keys/k.js': '',
      'node_modules/keys/other.js': '',
    });
    const found = find(cwd, {
      specifiers: ['keys', 'keys/k.js', './node_modules/keys/k', 'keys/other'],
      dirs: ['plugins'],
    });
    assert.deepEqual(
      found.map(({ specifier, manifest }) => [
        specifier,
        manifest?.metadata.name,
        manifest?.metadata.version,
      ]),
      [
        ['keys', 'keys', '0.0.0'],
        ['keys/other', undefined, undefined],
        ['plugins/guard', 'guard', '1.2.0'],
      ],
    );
  });

  test('applies the manifest also to a plugin that is named by its file', (t) => {
    const cwd = tree(t, {
      'p/package.json': { llmrouter: { entry: 'dist/i.js', capabilities: [] } },
      'p/dist/i.js': '',
    });
    assert.deepEqual(findOne(cwd, { specifiers: ['./p/dist/i.js'] }).manifest?.metadata.capabilities, []);
  });

  test('reports a package.json that is no JSON object', (t) => {
    const cwd = tree(t, {
      'plugins/a/package.json': '{',
      'plugins/b/package.json': '[]',
      'plugins/a/index.js': '',
    });
    for (const { problem } of find(cwd, { dirs: ['plugins'] })) {
      assert.equal(problem?.code, 'plugin_load');
      assert.match(problem.message, /package\.json/);
    }
  });
});

test('discover neither reads nor runs code', (t) => {
  const cwd = tree(t, { 'node_modules/p/package.json': { name: 'p', main: 'index.js' } });
  const canary = join(cwd, 'canary');
  const source = `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(canary)}, '');`;
  for (const name of ['a.mjs', 'node_modules/p/index.js'])
    writeFileSync(join(cwd, name), source + pluginSource('x'));
  symlinkSync('a.mjs', join(cwd, 'b.mjs'));
  find(cwd, { specifiers: ['./a.mjs', 'p', './b.mjs'], dirs: ['.'] });
  assert.equal(existsSync(canary), false);
});
