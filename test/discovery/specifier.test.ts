import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { parseSpecifier } from '../../src/discovery/specifier.ts';

/** The readings as one text each, in order. */
function readings(text: string): string[] {
  return parseSpecifier(text).readings.map(
    ({ kind, module, exportName }) => `${kind} ${module}${exportName === null ? '' : `#${exportName}`}`,
  );
}

suite('parseSpecifier', () => {
  const forms: [string, string[]][] = [
    ['@acme/guard', ['package @acme/guard', 'path ./@acme/guard']],
    ['@acme/guard#Guard', ['package @acme/guard#Guard', 'path ./@acme/guard#Guard']],
    ['guard', ['package guard', 'path ./guard']],
    [
      '@acme/guard/extra.js#default',
      ['package @acme/guard/extra.js#default', 'path ./@acme/guard/extra.js#default'],
    ],
    ['./plugins/hello', ['path ./plugins/hello']],
    ['./with space/v1.2/p.Q', ['path ./with space/v1.2/p.Q']],
    ['/opt/p/index.js#MyPlugin', ['path /opt/p/index.js#MyPlugin']],
    ['/opt/a#b/index.js#MyPlugin', ['path /opt/a#b/index.js#MyPlugin']],
    ['chart.js', ['package chart.js', 'path ./chart.js']],
    ['plugin.ts', ['package plugin.ts', 'path ./plugin.ts']],
    ['my-pkg.plugin', ['package my-pkg.plugin', 'path ./my-pkg.plugin']],
  ];
  for (const [text, expected] of forms) {
    test(`reads ${text}`, () => assert.deepEqual(readings(text), expected));
  }

  test('reads the dotted form of "Enable the Plugin" as a module and an export', () => {
    const expected = ['package mypackage/myplugin#MyPlugin', 'path ./mypackage/myplugin#MyPlugin'];
    assert.deepEqual(readings('mypackage.myplugin.MyPlugin'), expected);
    assert.deepEqual(readings('mypackage.MyPlugin'), [
      'package mypackage#MyPlugin',
      'path ./mypackage#MyPlugin',
    ]);
  });

  test('prefers a package of that very name when a dotted text ends in lower case', () => {
    assert.deepEqual(readings('socket.io'), [
      'package socket.io',
      'path ./socket.io',
      'package socket#io',
      'path ./socket#io',
    ]);
  });

  test('reads names of object internals like any other', () => {
    assert.deepEqual(readings('./p.js#__proto__'), ['path ./p.js#__proto__']);
    assert.deepEqual(readings('constructor'), ['package constructor', 'path ./constructor']);
  });

  const refusals: [string, string][] = [
    ['../evil', 'plugin_security'],
    ['./a/../b', 'plugin_security'],
    ['/opt/../etc', 'plugin_security'],
    ['@acme/guard/..', 'plugin_security'],
    ['./a/..#Evil', 'plugin_security'],
    ['pkg\\..\\evil', 'plugin_security'],
    ['pkg/%2e%2e/evil', 'plugin_security'],
    ['pkg/.%2E/evil', 'plugin_security'],
    ['pkg/%252e%252e%252fevil', 'plugin_security'],
    ['pkg%2f..%5cevil', 'plugin_security'],
    ['./p\0.js', 'plugin_security'],
    ['./p\n.js', 'plugin_security'],
    ['file:///opt/p.js', 'plugin_security'],
    ['http://evil.test/p.js', 'plugin_security'],
    ['data:text/javascript,1', 'plugin_security'],
    ['node:fs', 'plugin_security'],
    ['C:/p.js', 'plugin_security'],
    ['a\\b', 'plugin_load'],
    ['', 'plugin_load'],
    ['  ', 'plugin_load'],
    ['#Export', 'plugin_load'],
    ['./p.js#', 'plugin_load'],
    ['./p.js#not an identifier', 'plugin_load'],
  ];
  for (const [text, code] of refusals) {
    test(`refuses ${JSON.stringify(text)} with ${code}`, () => {
      assert.throws(() => parseSpecifier(text), { code });
    });
  }

  test('accepts dots that are no parent folder', () => {
    assert.deepEqual(readings('./..hidden/a...b'), ['path ./..hidden/a...b']);
  });

  test('never lets a parent segment through, however it is encoded', () => {
    const dot = fc.constantFrom('.', '%2e', '%2E', '%252e', '%25252E');
    const slash = fc.constantFrom('/', '\\', '%2f', '%5C', '%252F');
    fc.assert(
      fc.property(dot, dot, slash, slash, fc.stringMatching(/^[a-z@]{1,5}$/), (a, b, before, after, name) => {
        assert.throws(() => parseSpecifier(`${name}${before}${a}${b}${after}${name}`), {
          code: 'plugin_security',
        });
      }),
    );
  });
});
