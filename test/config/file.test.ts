import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { type Env, loadYaml, problemsOf, workspace } from './workspace.ts';

const ONE_MODEL = 'model_list: [{model_name: a, litellm_params: {model: b}}]';

function groups(cwd: string, env: Env = {}): readonly string[] {
  return loadConfig({ env, cwd, isTTY: false }).deployments.map((deployment) => deployment.group);
}

for (const name of ['gateway.yaml', 'gateway.yml', 'gateway.json']) {
  test(`${name} in the working directory is read without being named`, (t) => {
    const content = '{"model_list": [{"model_name": "a", "litellm_params": {"model": "b"}}]}';
    assert.deepEqual(groups(workspace(t, { [name]: content })), ['a']);
  });
}

test('of several files the first is read and the others are warned about', (t) => {
  const cwd = workspace(t, { 'gateway.yaml': ONE_MODEL, 'gateway.yml': 'x: ]' });
  const { warnings } = loadConfig({ env: {}, cwd, isTTY: false });
  assert.deepEqual(warnings, [
    'gateway.yml: not read, because there is gateway.yaml; set LLMROUTER_CONFIG to choose',
  ]);
});

test('LLMROUTER_CONFIG names the file, relative to the working directory or absolute', (t) => {
  const cwd = workspace(t, { 'my.yaml': ONE_MODEL, 'gateway.yaml': 'x: ]' });
  assert.deepEqual(groups(cwd, { LLMROUTER_CONFIG: 'my.yaml' }), ['a']);
  assert.deepEqual(groups(cwd, { LLMROUTER_CONFIG: join(cwd, 'my.yaml') }), ['a']);
});

test('a file that is named and missing, a folder, or not readable is a problem', (t) => {
  const cwd = workspace(t, { 'secret.yaml': ONE_MODEL });
  mkdirSync(join(cwd, 'folder'));
  chmodSync(join(cwd, 'secret.yaml'), 0);
  const problems = (name: string) =>
    problemsOf(() => loadConfig({ env: { LLMROUTER_CONFIG: name }, cwd, isTTY: false }));
  assert.deepEqual(problems('no.yaml'), [
    'LLMROUTER_CONFIG: no.yaml: there is no such file; expected a YAML file',
  ]);
  assert.deepEqual(problems('folder'), ['LLMROUTER_CONFIG: folder: is a folder; expected a YAML file']);
  // The superuser may read every file.
  const expected =
    process.getuid?.() === 0 ? [] : ['LLMROUTER_CONFIG: secret.yaml: may not be read by this user'];
  assert.deepEqual(problems('secret.yaml'), expected);
});

test('a gateway.yaml that is a folder, as a failed mount leaves it, is not taken for none', (t) => {
  const cwd = workspace(t);
  mkdirSync(join(cwd, 'gateway.yaml'));
  assert.deepEqual(
    problemsOf(() => loadConfig({ env: {}, cwd, isTTY: false })),
    ['gateway.yaml: is a folder; expected a YAML file'],
  );
});

test('a byte order mark is skipped', (t) => {
  assert.equal(loadYaml(t, `\uFEFF${ONE_MODEL}`).deployments.length, 1);
});

const BROKEN: Readonly<Record<string, readonly [string | Uint8Array, string]>> = {
  'an empty file': [
    '',
    'gateway.yaml:1:1: the file is empty; expected a mapping with model_list, router_settings or plugins ({} for none)',
  ],
  'a file of comments': [
    '# model_list:\n',
    'gateway.yaml:1:1: the file is empty; expected a mapping with model_list, router_settings or plugins ({} for none)',
  ],
  'a byte order mark alone': [
    '\uFEFF',
    'gateway.yaml:1:1: the file is empty; expected a mapping with model_list, router_settings or plugins ({} for none)',
  ],
  'a list': [
    '- a',
    'gateway.yaml:1:1: the file holds a list; expected a mapping with model_list, router_settings or plugins ({} for none)',
  ],
  'a single value': [
    'sk-abc',
    'gateway.yaml:1:1: the file holds a single value; expected a mapping with model_list, router_settings or plugins ({} for none)',
  ],
  'UTF-16': [
    Buffer.from('\uFEFFplugins: {}', 'utf16le'),
    'gateway.yaml: is not UTF-8 text; expected a YAML file',
  ],
  'a key twice': [
    'plugins:\n  a: {}\n  a: {}',
    'gateway.yaml:3:3: this key stands twice in one mapping; expected once',
  ],
  'two documents': [
    'plugins: {}\n---\nplugins: {}',
    'gateway.yaml:2:1: a second document begins here; expected one',
  ],
  'an alias to nothing': [
    'plugins: *secret',
    'gateway.yaml:1:10: this alias leads nowhere, or to what contains it',
  ],
  'an alias to what contains it': [
    'plugins: &p\n  a: *p',
    'gateway.yaml:2:6: this alias leads nowhere, or to what contains it',
  ],
  'a file that expands without end': [
    [
      'a: &a0 [x]',
      ...Array.from({ length: 12 }, (_, i) => `a${i}: &a${i + 1} [*a${i}, *a${i}, *a${i}, *a${i}]`),
    ].join('\n'),
    'gateway.yaml:1:1: too many aliases; expected at most 100 uses of one anchor',
  ],
  'an unknown tag': ['plugins: !secret {}', 'gateway.yaml:1:10: Unresolved tag'],
  'a bad escape': ['plugins: "\\q"', 'gateway.yaml:1:11: invalid escape sequence'],
  'a key that is no text': ['? [a]\n: 1', 'gateway.yaml:1:3: With stringKeys, all keys must be strings'],
};

for (const [what, [yaml, problem]] of Object.entries(BROKEN)) {
  test(`${what} is a problem with its place`, (t) => {
    assert.deepEqual(
      problemsOf(() => loadYaml(t, yaml)),
      [problem],
    );
  });
}

test('a syntax error names its line and column and does not quote the file', (t) => {
  const problems = problemsOf(() => loadYaml(t, 'plugins:\n  a: "x" hunter2\n  b: }hunter2\n'));
  assert.match(problems[0] ?? '', /^gateway\.yaml:2:10: Unexpected scalar at node end$/);
  assert.ok(!problems.join('\n').includes('hunter2'), problems.join('\n'));
});

test('anchors and merge keys work', (t) => {
  const config = loadYaml(
    t,
    'model_list:\n  - &one {model_name: a, litellm_params: &p {model: b, rpm: 3}}\n  - {<<: *one, model_name: c}\n',
  );
  assert.deepEqual(
    config.deployments.map(({ id, rpm }) => [id, rpm]),
    [
      ['a/0', 3],
      ['c/0', 3],
    ],
  );
});
