import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { fencedBlocks } from './markdown.ts';
import { typeCheck } from './type-check.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Contracts that an author implements or calls: each has to show how. */
const SHOWN = [
  'app',
  'auth',
  'context',
  'evaluator',
  'exporter',
  'llm',
  'metadata',
  'metrics',
  'plugin',
  'provider',
  'routing',
  'storage',
  'tools',
];

/** What examples may take for given: the parameters of `startup`. */
const STARTUP = `import type { PluginApp, PluginContext } from 'routeiq-gateway/plugin';
declare global {
  const app: PluginApp;
  const context: PluginContext;
}
`;

const sources = ['src/errors.ts', ...globSync('src/plugin-api/*.ts', { cwd: ROOT })].sort();
const examples = Object.fromEntries(sources.flatMap(examplesOf));

describe('TSDoc examples of the plugin API', () => {
  it('compile', async (t) => {
    assert.equal(await typeCheck(t, { 'startup.d.ts': STARTUP, ...examples }), '');
  });

  it('would be found wrong if they were', async (t) => {
    const wrong = "app.get('/x', 'no handler');\nexport {};\n";
    assert.match(
      await typeCheck(t, { 'startup.d.ts': STARTUP, 'wrong.ts': wrong }),
      /^wrong\.ts\(1,15\): error TS/,
    );
  });

  it('show every contract', () => {
    const shown = new Set(Object.keys(examples).map((name) => name.replace(/-\d+\.ts$/, '')));
    assert.deepEqual(
      SHOWN.filter((name) => !shown.has(name)),
      [],
    );
  });
});

/** The code of the `@example` blocks of a file, each under a name that tells its line. */
function examplesOf(path: string): [name: string, code: string][] {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const comments = [...text.matchAll(/\/\*\*[\s\S]*?\*\//g)].filter(([comment]) =>
    comment.includes('@example'),
  );
  return comments.flatMap(({ 0: comment, index }) => {
    const line = text.slice(0, index).split('\n').length;
    const blocks = fencedBlocks(comment.replace(/^ *\/?\*+[ /]?/gm, ''));
    assert.ok(blocks.length > 0, `${path}:${line}: an @example without a fenced block`);
    return blocks.map(({ text: code, line: offset }): [string, string] => [
      `${basename(path, '.ts')}-${line + offset}.ts`,
      `${code}export {};\n`,
    ]);
  });
}
