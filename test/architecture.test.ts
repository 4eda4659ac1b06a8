import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, it } from 'node:test';

const ROOT = join(import.meta.dirname, '..');

/** Anyone may import these; they import each other only as listed. */
const LEAVES: Readonly<Record<string, readonly string[]>> = {
  'async-variable': [],
  deadlines: [],
  'end-of-turn': [],
  errors: [],
  freeze: [],
  'request-scope': [],
  version: [],
  'plugin-api': ['errors'],
  contributions: ['plugin-api'],
  wire: ['errors', 'plugin-api', 'request-scope'],
  net: ['errors', 'plugin-api'],
  http1: ['deadlines', 'end-of-turn'],
  storage: ['errors', 'plugin-api'],
  telemetry: ['errors', 'plugin-api', 'containment'],
  containment: ['async-variable', 'deadlines', 'errors', 'plugin-api', 'request-scope'],
};

/** The line that data takes. A stage may import the types of earlier stages, and nothing of later ones. */
const STAGES = [
  'config',
  'discovery',
  'policy',
  'order',
  'lifecycle',
  'watchdog',
  'registrar',
  'pipeline',
  'data-plane',
  'mcp',
  'http',
];

/** May import everything: they put the stages together. */
const ROOTS = ['composition', 'isolation', 'gateway', 'cli', 'index'];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const sources = globSync('src/**/*.ts', { cwd: ROOT }).map((path) => path.replaceAll('\\', '/'));
const imports = sources.flatMap(importsOf);

describe('architecture', () => {
  it('knows every folder below src', () => {
    const known = new Set([...Object.keys(LEAVES), ...STAGES, ...ROOTS]);
    assert.deepEqual(
      [...new Set(sources.map(unitOf))].filter((unit) => !known.has(unit)),
      [],
    );
  });

  it('lets leaves import nothing above them', () => {
    const wrong = imports.filter(({ from, to }) => {
      const allowed = LEAVES[unitOf(from)];
      return (
        allowed !== undefined && unitOf(to) !== unitOf(from) && ![...allowed, 'freeze'].includes(unitOf(to))
      );
    });
    assert.deepEqual(wrong, []);
  });

  it('lets stages import leaves and the types of earlier stages only', () => {
    const wrong = imports.filter(({ from, to, typeOnly }) => {
      const stage = STAGES.indexOf(unitOf(from));
      if (stage < 0 || unitOf(to) === unitOf(from) || unitOf(to) in LEAVES) return false;
      const target = STAGES.indexOf(unitOf(to));
      return target < 0 || target > stage || !typeOnly;
    });
    assert.deepEqual(wrong, []);
  });

  it('has no cycle between files', () => {
    const graph = Map.groupBy(
      imports.filter(({ typeOnly }) => !typeOnly),
      ({ from }) => from,
    );
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), `cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
      if (done.has(file)) return;
      for (const { to } of graph.get(file) ?? []) visit(to, [...path, file]);
      done.add(file);
    };
    for (const file of sources) visit(file, []);
  });

  it('reads process.env at the process edge only', () => {
    const readers = sources.filter((path) => /\bprocess\.env\b/.test(code(path)));
    assert.deepEqual(readers, ['src/index.ts']);
  });

  it('writes to the log, never to the console', () => {
    assert.deepEqual(
      sources.filter((path) => /\bconsole\./.test(code(path))),
      [],
    );
  });

  it('lets plugins import the public API alone', () => {
    const plugins = globSync('plugins/**/*.{ts,js}', {
      cwd: ROOT,
      exclude: ['**/node_modules/**', '**/test/**'],
    });
    assert.ok(plugins.length > 0);
    for (const path of plugins) {
      for (const specifier of specifiers(readFileSync(join(ROOT, path), 'utf8'))) {
        const outside = specifier.startsWith('.') && !inside(path, specifier);
        const internal = specifier.startsWith('routeiq-gateway') && specifier !== 'routeiq-gateway/plugin';
        assert.ok(!outside && !internal, `${path} imports ${specifier}`);
      }
    }
  });
});

/** The folder below src, or the file's name for those directly in it. */
function unitOf(path: string): string {
  return (path.split('/')[1] ?? '').replace(/\.ts$/, '');
}

function importsOf(from: string): Import[] {
  const text = readFileSync(join(ROOT, from), 'utf8');
  return [...text.matchAll(/^(?:import|export)\s+(type\s+)?([^;]*?)\s*from\s+'(\.[^']+)'/gms)].map(
    ([, type, names, to]) => ({
      from,
      to: normalize(join(dirname(from), to ?? '')).replaceAll('\\', '/'),
      typeOnly: type !== undefined || onlyTypes(names ?? ''),
    }),
  );
}

function onlyTypes(names: string): boolean {
  const list = /^\{([^}]*)\}$/s
    .exec(names.trim())?.[1]
    ?.split(',')
    .map((name) => name.trim()) ?? [''];
  return (
    list.filter((name) => name !== '').every((name) => name.startsWith('type ')) &&
    list.some((name) => name !== '')
  );
}

/** Without comments, in which examples may say what code may not do. */
function code(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
}

function specifiers(text: string): string[] {
  return [...text.matchAll(/(?:from\s+|import\(|require\()['"]([^'"]+)['"]/g)].map(
    ([, specifier]) => specifier ?? '',
  );
}

/** Whether a relative import stays in `plugins/<name>/`. */
function inside(path: string, specifier: string): boolean {
  const folder = path.split('/').slice(0, 2).join('/');
  return !relative(folder, normalize(join(dirname(path), specifier))).startsWith('..');
}
