import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { toEnvName } from '../../src/config/env-name.ts';
import { readPackages, requiredSettings, settingsOf } from './package.ts';

/** What the gateway itself gives to plugins. */
const LENT = ['routeiq-gateway/plugin', 'express'];

for (const plugin of readPackages()) {
  describe(`plugins/${plugin.name}: the package`, () => {
    it('has a manifest that says what it is before its code is read', () => {
      const { json, manifest, name, dir } = plugin;
      assert.equal(json.name, `@routeiq/plugin-${name}`);
      assert.equal(json.private, true);
      assert.equal(manifest.declared.name, name);
      assert.match(manifest.metadata.version, /^\d+\.\d+\.\d+$/);
      assert.notEqual(manifest.metadata.description, '', 'no description');
      assert.ok((manifest.declared.capabilities ?? []).length > 0, 'no capabilities');
      assert.ok(existsSync(join(dir, manifest.entry ?? 'index.ts')), 'no entry');
    });

    it('describes every setting, and what it is when nobody sets it', () => {
      for (const [name, schema] of settingsOf(plugin)) {
        assert.ok(schema.description, `${name} has no description`);
        const isOpen = schema.default === undefined && !requiredSettings(plugin).includes(name);
        assert.ok(!isOpen || /\bLeft out\b/.test(schema.description), `${name}: what if it is left out?`);
      }
    });

    it('names every setting and its variable in the README', () => {
      assert.match(plugin.readme, new RegExp(`^# ${plugin.name}$`, 'm'));
      for (const name of settingsOf(plugin).keys()) {
        assert.ok(plugin.readme.includes(`| \`${name}\` |`), `README.md has no row for ${name}`);
        assert.match(
          plugin.readme,
          new RegExp(`\`\\w*${toEnvName(name)}\``),
          `README.md: variable of ${name}`,
        );
      }
    });

    it('imports nothing but its own files, its own dependencies and what the gateway lends', () => {
      const own = Object.keys((plugin.json.dependencies ?? {}) as object);
      for (const [path, text] of plugin.sources) {
        for (const specifier of importsOf(text)) {
          assert.ok(isFair(specifier, own), `${path} imports ${specifier}`);
        }
      }
    });

    it('says why it is inactive until somebody switches it on', () => {
      const { env, anyOf = [] } = plugin.manifest.activation;
      const asked = [...env, ...anyOf].filter((name) => name.startsWith('LLMROUTER_PLUGIN_'));
      const prefix = `LLMROUTER_PLUGIN_${toEnvName(plugin.name)}__`;
      const known = [...settingsOf(plugin).keys()].map((setting) => prefix + toEnvName(setting));
      assert.deepEqual(
        asked.filter((name) => !known.includes(name)),
        [],
        'a variable that is no setting',
      );
    });
  });
}

function isFair(specifier: string, own: readonly string[]): boolean {
  if (specifier.startsWith('.')) return true; // test/architecture.test.ts keeps it inside
  const [scope = '', name = ''] = specifier.split('/');
  const packageName = scope.startsWith('@') ? `${scope}/${name}` : scope;
  return isBuiltin(specifier) || LENT.includes(specifier) || own.includes(packageName);
}

function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '');
  return [
    ...code.matchAll(/^(?:import|export)\b(?!\s+type\b)[^;]*?\bfrom\s+'([^']+)'|\bimport\('([^']+)'\)/gm),
  ].map(([, named, dynamic]) => named ?? dynamic ?? '');
}
