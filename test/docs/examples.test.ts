import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MANIFEST_ONLY_FIELDS, METADATA_FIELDS } from '../../src/discovery/metadata-fields.ts';
import { PLUGIN_STATES } from '../../src/lifecycle/states.ts';
import { FAILURE_MODES, PLUGIN_CAPABILITIES } from '../../src/plugin-api/index.ts';
import { type GatewayProcess, startGateway, tempDir } from '../support/gateway-process.ts';
import { type ConsoleStep, type Example, examplesOf, fencedBlocks, isFile, tableBelow } from './markdown.ts';
import { typeCheck } from './type-check.ts';

const ROOT = join(import.meta.dirname, '../..');
const NO_CURL = hasCurl() ? false : 'the commands need curl';
/** States that a plugin only passes through, and that explain themselves. */
const PASSING: readonly string[] = ['discovered', 'loaded', 'stopped'];
/** How long an output that comes in its own time is waited for. */
const EVENTUALLY_MS = 20_000;

const PAGES = ['README.md', 'docs/plugins.md', 'docs/security.md', 'docs/hot-upgrade.md'].map((name) => {
  const blocks = fencedBlocks(readFileSync(join(ROOT, name), 'utf8'));
  return { name, blocks, examples: examplesOf(blocks) };
});

for (const { name, blocks, examples } of PAGES) {
  describe(name, { concurrency: 2 }, () => {
    for (const example of examples) {
      it(`runs as shown: ${example.title}`, { skip: NO_CURL }, (t) => runExample(t, example));
    }

    it('shows no file that is not run', () => {
      const run = new Set(examples.map(({ title }) => title));
      const unused = blocks.filter((block) => isFile(block) && !run.has(block.heading));
      assert.deepEqual(
        unused.map(({ label, line }) => `${label} in line ${line}`),
        [],
      );
    });

    it('shows TypeScript that compiles', async (t) => {
      const files = examples.flatMap((example, number) =>
        Object.entries(example.files).map(([path, text]) => [`example-${number}/${path}`, text]),
      );
      assert.equal(await typeCheck(t, { 'empty.ts': 'export {};\n', ...Object.fromEntries(files) }), '');
    });
  });
}

describe("the plugin author's guide", () => {
  const guide = readFileSync(join(ROOT, 'docs/plugins.md'), 'utf8');
  const examples = examplesOf(fencedBlocks(guide));

  it('has every field of metadata and manifest', () => {
    const names = (heading: string) => tableBelow(guide, heading).map(([name = '']) => name.split('.')[0]);
    assert.deepEqual(names('## Metadata').sort(), METADATA_FIELDS.toSorted());
    assert.deepEqual(names('## Manifest').sort(), MANIFEST_ONLY_FIELDS.toSorted());
  });

  it('has every state and failure mode of a plugin', () => {
    const states = tableBelow(guide, '## Lifecycle').map(([state]) => state);
    assert.deepEqual(
      PLUGIN_STATES.filter((state) => !states.includes(state) && !PASSING.includes(state)),
      [],
    );
    const modes = tableBelow(guide, '## When a plugin fails').map(([mode]) => mode);
    assert.deepEqual(modes.toSorted(), FAILURE_MODES.toSorted());
  });

  it('has every capability of the registrar', () => {
    const capabilities = tableBelow(guide, '## The registrar').map(([capability]) => capability);
    assert.deepEqual(capabilities.toSorted(), PLUGIN_CAPABILITIES.toSorted());
  });

  it('has a quick start of less than 20 lines in both languages', () => {
    for (const title of ['In TypeScript', 'In JavaScript']) {
      const [source = ''] = Object.values(examples.find((example) => example.title === title)?.files ?? {});
      const lines = source.trimEnd().split('\n').length;
      assert.ok(lines > 5 && lines < 20, `${title}: ${lines} lines`);
    }
  });

  it('has an example of every capability', () => {
    const code = examples.flatMap(({ files }) => Object.values(files)).join('\n');
    assert.deepEqual(
      PLUGIN_CAPABILITIES.filter((capability) => !code.includes(capability)),
      [],
    );
  });
});

async function runExample(t: TestContext, { files, steps }: Example): Promise<void> {
  const dir = tempDir(t, files);
  linkDependencies(dir, files);
  const gateway = await startGateway(t, { dir });
  const path = [commandFolder(t), dirname(process.execPath), process.env.PATH].join(delimiter);
  for (const step of steps) await runStep(gateway, path, step);
  assert.equal(await gateway.stop(), 0, gateway.stderr());
}

async function runStep(gateway: GatewayProcess, path: string, step: ConsoleStep): Promise<void> {
  const command = step.command.replaceAll('http://127.0.0.1:4000', gateway.url);
  const expected = pattern(step.output);
  const giveUpAt = Date.now() + (step.eventually ? EVENTUALLY_MS : 0);
  let output = await runCommand(command, gateway.dir, path);
  while (!expected.test(output) && Date.now() < giveUpAt) {
    await delay(50);
    output = await runCommand(command, gateway.dir, path);
  }
  if (!expected.test(output)) assert.equal(output, step.output, `$ ${step.command}`);
}

/** Resolves to all that a command of the shell prints, whatever it exits with. */
function runCommand(command: string, cwd: string, path: string): Promise<string> {
  const env = { PATH: path, HOME: cwd };
  return new Promise((resolve) => {
    execFile('sh', ['-c', `{ ${command}\n} 2>&1`], { cwd, env, timeout: 60_000 }, (_error, stdout) =>
      resolve(stdout.replaceAll('\r', '').trimEnd()),
    );
  });
}

function pattern(output: string): RegExp {
  return new RegExp(`^${output.split('…').map(RegExp.escape).join('[^\\n]*')}$`);
}

/** A folder for the path of commands, in which `routeiq` is this gateway. */
function commandFolder(t: TestContext): string {
  const entry = join(ROOT, 'src/index.ts');
  const dir = tempDir(t, {
    routeiq: `#!/bin/sh\nexec "${process.execPath}" --conditions=routeiq-source "${entry}" "$@"\n`,
  });
  chmodSync(join(dir, 'routeiq'), 0o755);
  return dir;
}

/** What `npm install` in a plugin's folder does, with the packages that are here already. */
function linkDependencies(dir: string, files: Example['files']): void {
  for (const [path, text] of Object.entries(files)) {
    if (!path.endsWith('package.json')) continue;
    const { dependencies = {} }: { dependencies?: Record<string, string> } = JSON.parse(text);
    const target = join(dir, dirname(path), 'node_modules');
    mkdirSync(target);
    for (const name of Object.keys(dependencies))
      symlinkSync(join(ROOT, 'node_modules', name), join(target, name));
  }
}

function hasCurl(): boolean {
  try {
    execFileSync('curl', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
