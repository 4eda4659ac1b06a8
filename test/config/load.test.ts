import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { loadConfig } from '../../src/config/load.ts';
import type { GatewayConfig } from '../../src/config/types.ts';
import { loadEnv, problemsOf, workspace } from './workspace.ts';

interface Row {
  readonly get: (config: GatewayConfig) => unknown;
  readonly unset: unknown;
  readonly good: readonly (readonly [string, unknown])[];
  readonly bad: readonly string[];
}

const MAX_DELAY = 2_147_483_647;

function number(get: Row['get'], unset: number, min: number, max: number): Row {
  return {
    get,
    unset,
    good: [
      [String(min), min],
      [` ${max} `, max],
      ['', unset],
    ],
    bad: [String(min - 1), String(max + 1), '1.5', '1e3', '0x10', 'abc', '1_000', '１'],
  };
}

function flag(get: Row['get']): Row {
  return {
    get,
    unset: false,
    good: [
      ['true', true],
      [' TRUE ', true],
      ['1', true],
      ['false', false],
      ['0', false],
      ['', false],
    ],
    bad: ['yes', 'on', '2', 'tru'],
  };
}

const ROWS: Readonly<Record<string, Row>> = {
  LLMROUTER_PLUGINS: {
    get: (config) => config.plugins.specifiers,
    unset: [],
    good: [
      ['', []],
      [' a , ,b,a,@x/y#Z, ./p ', ['a', 'b', '@x/y#Z', './p']],
    ],
    bad: [],
  },
  LLMROUTER_PLUGINS_ALLOWLIST: {
    get: (config) => config.plugins.allowlist,
    unset: null,
    good: [
      ['', []],
      ['  ', []],
      [' , ', []],
      ['Org.Guard, plugins/hello', ['Org.Guard', 'plugins/hello']],
    ],
    bad: [],
  },
  LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: {
    get: (config) => config.plugins.allowedCapabilities,
    unset: null,
    good: [
      ['', []],
      [' ', []],
      ['ROUTES, PROVIDER,ROUTES', ['ROUTES', 'PROVIDER']],
    ],
    bad: ['routes', 'ROUTES,BOGUS', '*', 'constructor', '__proto__'],
  },
  LLMROUTER_PLUGINS_FAILURE_MODE: {
    get: (config) => config.plugins.failureMode,
    unset: 'continue',
    good: [
      [' Abort ', 'abort'],
      ['QUARANTINE', 'quarantine'],
      ['continue', 'continue'],
    ],
    bad: ['stop', 'abort,continue', 'constructor'],
  },
  LLMROUTER_PLUGINS_DIR: {
    get: (config) => config.plugins.dirs,
    unset: ['plugins'],
    good: [
      [' a , ./b,a', ['a', './b']],
      ['', []],
    ],
    bad: [],
  },
  LLMROUTER_PLUGINS_DISABLED: {
    get: (config) => config.plugins.disabled,
    unset: [],
    good: [['a, b', ['a', 'b']]],
    bad: [],
  },
  LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS: number((c) => c.plugins.startupTimeoutMs, 30_000, 1, MAX_DELAY),
  LLMROUTER_PLUGINS_SHUTDOWN_TIMEOUT_MS: number((c) => c.plugins.shutdownTimeoutMs, 10_000, 1, MAX_DELAY),
  LLMROUTER_PLUGINS_CALL_TIMEOUT_MS: number((c) => c.plugins.callTimeoutMs, 30_000, 1, MAX_DELAY),
  LLMROUTER_PLUGINS_STALL_TIMEOUT_MS: number((c) => c.plugins.stallTimeoutMs, 10_000, 0, MAX_DELAY),
  LLMROUTER_PLUGINS_FAILURE_THRESHOLD: number((c) => c.plugins.failureThreshold, 5, 1, 1_000_000),
  LLMROUTER_PLUGINS_FAILURE_WINDOW_MS: number((c) => c.plugins.failureWindowMs, 60_000, 1, MAX_DELAY),
  LLMROUTER_PLUGINS_COOLDOWN_MS: number((c) => c.plugins.cooldownMs, 30_000, 1, 67_108_863),
  LLMROUTER_PLUGINS_ISOLATION: {
    get: (config) => config.plugins.isolation,
    unset: { all: 'inline', byName: new Map() },
    good: [
      ['Inline', { all: 'inline', byName: new Map() }],
      ['process', { all: 'process', byName: new Map() }],
      [
        'guard = Process, b=process',
        {
          all: 'inline',
          byName: new Map([
            ['guard', 'process'],
            ['b', 'process'],
          ]),
        },
      ],
      ['process, hello=inline', { all: 'process', byName: new Map([['hello', 'inline']]) }],
    ],
    bad: ['worker', 'guard=worker', '=process', 'a=b=process', 'guard='],
  },
  LLMROUTER_PLUGINS_PERMISSIONS: {
    get: (config) => config.plugins.permissions,
    unset: new Map(),
    good: [
      [
        'a:net, a:read=/x, b:write=/y z',
        new Map([
          ['a', { net: true, read: ['/x'], write: [] }],
          ['b', { net: false, read: [], write: ['/y z'] }],
        ]),
      ],
    ],
    bad: ['a', 'a:net=/x', 'a:read', 'a:read=x', 'a:spawn', ':net'],
  },
  LLMROUTER_PLUGINS_MEMORY_LIMIT: {
    get: (config) => config.plugins.memoryLimitBytes,
    unset: 536_870_912,
    good: [['64', 67_108_864]],
    bad: ['63', '-1', 'much'],
  },
  LLMROUTER_PLUGINS_WATCH: {
    get: (config) => config.plugins.watch,
    unset: false,
    good: [
      ['false', false],
      ['True', true],
    ],
    bad: ['maybe', 'of'],
  },
  LLMROUTER_PLUGINS_PROBATION_MS: number((c) => c.plugins.probationMs, 300_000, 0, MAX_DELAY),
  LLMROUTER_PLUGINS_LOCKFILE: {
    get: (config) => config.plugins.lockfile,
    unset: null,
    good: [['', null]],
    bad: ['missing.json'],
  },
  LLMROUTER_CONFIG: {
    get: (config) => config.deployments,
    unset: [],
    good: [['', []]],
    bad: ['missing.yaml'],
  },
  LLMROUTER_HOST: {
    get: (config) => config.server.host,
    unset: '127.0.0.1',
    good: [
      ['0.0.0.0', '0.0.0.0'],
      ['::1', '::1'],
      ['fe80::1%eth0', 'fe80::1%eth0'],
      ['localhost', 'localhost'],
    ],
    bad: ['http://localhost', '[::1]', 'localhost:4000/', 'a b'],
  },
  PORT: number((c) => c.server.port, 4000, 0, 65_535),
  LLMROUTER_WORKERS: {
    get: (config) => config.server.workers,
    unset: 1,
    good: [
      ['4', 4],
      ['Auto', 3],
    ],
    bad: ['0', '-1', 'all', '1025'],
  },
  LLMROUTER_BODY_LIMIT: number((c) => c.server.bodyLimit, 10_485_760, 1, 536_870_888),
  LLMROUTER_TOOLS_MAX_ROUNDS: number((c) => c.tools.maxRounds, 8, 1, 100),
  LLMROUTER_TOOLS_TIMEOUT_MS: number((c) => c.tools.timeoutMs, 120_000, 1, MAX_DELAY),
  LLMROUTER_DRAIN_TIMEOUT_MS: number((c) => c.server.drainTimeoutMs, 30_000, 0, MAX_DELAY),
  LLMROUTER_ADMIN_KEY: {
    get: (config) => config.admin.key?.reveal() ?? null,
    unset: null,
    good: [
      [' sesame\n', 'sesame'],
      ['', null],
    ],
    bad: ['two words', 'schlüssel'],
  },
  LLMROUTER_LOG_LEVEL: {
    get: (config) => config.log.level,
    unset: 'info',
    good: [['DEBUG', 'debug']],
    bad: ['trace', 'fatal'],
  },
  LLMROUTER_LOG_FORMAT: {
    get: (config) => config.log.format,
    unset: 'json',
    good: [
      ['Pretty', 'pretty'],
      ['json', 'json'],
    ],
    bad: ['text'],
  },
  LLMROUTER_DEBUG: flag((c) => c.debug),
  LLMROUTER_DATA_DIR: {
    get: (config) => config.dataDir,
    unset: '/nowhere/at/all/data',
    good: [
      ['/var/lib/x', '/var/lib/x'],
      ['../y', '/nowhere/at/y'],
      [' ', '/nowhere/at/all/data'],
    ],
    bad: [],
  },
  LLMROUTER_OUTBOUND_ALLOW_PRIVATE: flag((c) => c.outbound.allowPrivate),
  LLMROUTER_OUTBOUND_HOST_ALLOWLIST: {
    get: (config) => config.outbound.hosts,
    unset: [],
    good: [
      ['API.Example.com., *.Bücher.example,api.example.com', ['api.example.com', '*.xn--bcher-kva.example']],
    ],
    bad: [
      'https://a.example',
      'a.example:80',
      '10.0.0.1',
      '0x7f.1',
      '*',
      'a*.example',
      '*.*.x',
      '[::1]',
      'a..b',
      '.',
    ],
  },
  LLMROUTER_OUTBOUND_CIDR_ALLOWLIST: {
    get: (config) => config.outbound.cidrs,
    unset: [],
    good: [
      ['10.1.0.0/16, 192.0.2.7', ['10.1.0.0/16', '192.0.2.7/32']],
      ['FD00:0:0::/8,fd12::1', ['fd00::/8', 'fd12::1/128']],
      ['0.0.0.0/0', ['0.0.0.0/0']],
    ],
    bad: [
      '10.0.0.1/8',
      '10.1/16',
      '010.0.0.0/8',
      '10.0.0.0/33',
      '10.0.0.0/',
      '::/129',
      'fe80::1%eth0',
      'fe80::%eth0/128',
      '::ffff:10.0.0.0/104',
      '10.0.0.0/8/8',
      'fd00::1/8',
    ],
  },
  LLMROUTER_OUTBOUND_URL_ALLOWLIST: {
    get: (config) => config.outbound.urls,
    unset: [],
    good: [['HTTPS://API.example.com:443/v1/../v2/, http://x', ['https://api.example.com/v2/', 'http://x/']]],
    bad: [
      'ftp://x/',
      'api.example.com',
      'https://u:p@x/',
      'https://x/?q',
      'https://x/#f',
      'https://*.x/',
      'https://x\\y',
    ],
  },
};

for (const [name, row] of Object.entries(ROWS)) {
  test(`${name}: unset`, () => {
    assert.deepEqual(row.get(loadEnv({})), row.unset);
  });
  for (const [text, value] of row.good) {
    test(`${name}=${text} is read`, () => {
      assert.deepEqual(row.get(loadEnv({ [name]: text })), value);
    });
  }
  for (const text of row.bad) {
    test(`${name}=${text} is one problem that names the variable and what was expected`, () => {
      const problems = problemsOf(() => loadEnv({ [name]: text }));
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', new RegExp(`^${name}: .*expected .+`));
    });
  }
}

test('all problems are reported together, each with the value seen', () => {
  const problems = problemsOf(() =>
    loadEnv({
      PORT: '99999',
      LLMROUTER_DEBUG: 'maybe',
      LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: 'ROUTES,ROUTE',
    }),
  );
  assert.deepEqual(problems, [
    'PORT: got "99999", expected a whole number from 0 to 65535',
    'LLMROUTER_DEBUG: got "maybe", expected true or false',
    'LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: got "ROUTE", expected capabilities of ROUTES, ROUTING_STRATEGY, TOOL_RUNTIME, EVALUATOR, OBSERVABILITY_EXPORTER, MIDDLEWARE, AUTH_PROVIDER, STORAGE_BACKEND, PROVIDER (did you mean ROUTES?)',
  ]);
});

test('problems of the environment and of the file are reported together', (t) => {
  const cwd = workspace(t, { 'gateway.yaml': 'model_list: 3' });
  const problems = problemsOf(() => loadConfig({ env: { PORT: 'x' }, cwd, isTTY: false }));
  assert.deepEqual(problems, [
    'PORT: got "x", expected a whole number from 0 to 65535',
    'gateway.yaml:1:1: model_list: got 3, expected a list',
  ]);
});

test('the log is pretty on a terminal unless told otherwise', () => {
  assert.equal(loadEnv({}, true).log.format, 'pretty');
  assert.equal(loadEnv({ LLMROUTER_LOG_FORMAT: 'json' }, true).log.format, 'json');
});

test('an unknown variable is a warning that names the nearest known one', () => {
  const { warnings } = loadEnv({
    LLMROUTER_PLUGIN: 'a',
    LLMROUTER_PORT: '1',
    LLMROUTER_PLUGIN_DIR: 'x',
    LLMROUTER_PLUGIN_X: 'y',
    llmrouter_log_levle: 'z',
    OTHER: 'fine',
  });
  assert.equal(warnings.length, 5);
  assert.match(
    warnings[0] ?? '',
    /^LLMROUTER_PLUGIN: unknown variable, ignored; did you mean LLMROUTER_PLUGINS\?$/,
  );
  assert.match(warnings[1] ?? '', /^LLMROUTER_PORT: .*did you mean PORT\?$/);
  assert.match(
    warnings[2] ?? '',
    /^LLMROUTER_PLUGIN_DIR: .*LLMROUTER_PLUGINS_DIR\?.*LLMROUTER_PLUGIN_<NAME>__<KEY>/,
  );
  assert.match(warnings[3] ?? '', /^LLMROUTER_PLUGIN_X: .*LLMROUTER_PLUGIN_<NAME>__<KEY>/);
  assert.match(warnings[4] ?? '', /^llmrouter_log_levle: .*LLMROUTER_LOG_LEVEL/);
});

test("a plugin's own setting is no unknown variable", () => {
  const { warnings, plugins } = loadEnv({
    LLMROUTER_PLUGIN_GUARD__KEYS_FILE: 'k.json',
    LLMROUTER_PLUGIN___X: '',
  });
  assert.deepEqual([...plugins.settings.env], [['LLMROUTER_PLUGIN_GUARD__KEYS_FILE', 'k.json']]);
  assert.equal(warnings.length, 1);
});

test('the environment that activates plugins is the names that are set and not blank', () => {
  const { environment } = loadEnv({ A: 'x', B: ' ', C: '', D: undefined }).plugins;
  assert.deepEqual([...environment], ['A']);
});

test('a setting in the file counts as its variable for what activates plugins', (t) => {
  const yaml = 'plugins: { auth-api-keys: { keysFile: k.json, db_url: x }, guard: {} }';
  const cwd = workspace(t, { 'gateway.yaml': yaml });
  const { environment } = loadConfig({ env: {}, cwd, isTTY: false }).plugins;
  assert.deepEqual([...environment].sort(), [
    'LLMROUTER_PLUGIN_AUTH_API_KEYS__DB_URL',
    'LLMROUTER_PLUGIN_AUTH_API_KEYS__KEYS_FILE',
  ]);
});

test('the result is frozen all the way down, maps and sets too', (t) => {
  const yaml =
    'model_list: [{model_name: a, litellm_params: {model: b, headers: {x: y}}}]\nplugins: {p: {q: {r: [1]}}}';
  const cwd = workspace(t, { 'gateway.yaml': yaml });
  const config = loadConfig({ env: { LLMROUTER_PLUGINS: 'a' }, cwd, isTTY: false });
  const seen = new Set<unknown>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    assert.ok(Object.isFrozen(value), inspect(value));
    for (const item of value instanceof Map ? value.values() : Object.values(value)) visit(item);
  };
  visit(config);
  assert.ok(seen.size > 20);
  const { settings, environment } = config.plugins;
  for (const write of [
    () => (settings.env as Map<string, string>).set('a', 'b'),
    () => (settings.file as Map<string, object>).clear(),
    () => (environment as Set<string>).add('x'),
  ]) {
    assert.throws(write, TypeError);
  }
});

test('names that every object inherits are ordinary variables', () => {
  const env = JSON.parse('{"__proto__": "x", "constructor": "y", "LLMROUTER_PLUGIN___PROTO____GET": "z"}');
  assert.deepEqual([...loadEnv(env).plugins.environment].sort(), [
    'LLMROUTER_PLUGIN___PROTO____GET',
    '__proto__',
    'constructor',
  ]);
});

test('secrets are in no problem, no warning and no print of what holds them', (t) => {
  // Both halves begin with what no message has: the rest may be an ordinary word.
  const secret = fc.stringMatching(/^[A-Za-z0-9]{12,40}$/).map((tail) => `S3CRET7KZ9Q${tail}`);
  const breaks = fc.constantFrom('', ' ', '\u00e9', '\n');
  const cwd = workspace(t);
  fc.assert(
    fc.property(secret, breaks, fc.boolean(), (value, odd, bad) => {
      const key = value.slice(0, 8) + odd + value.slice(8);
      const yaml = [
        'model_list:',
        `  - model_name: a`,
        `    litellm_params: {model: b, api_key: ${JSON.stringify(key)}, extra_headers: {x-k: ${JSON.stringify(key)}},`,
        `      api_base: "https://u:${value}@h/?k=${value}", rpm: os.environ/NUMBER, other: ${value}}`,
        `plugins: {p: {password: ${JSON.stringify(key)}}, q: ${JSON.stringify(key)}}`,
        bad ? `broken: "${value}" ${value}\n  : }${value}` : '',
      ];
      const text = outcome(cwd, yaml.join('\n'), {
        LLMROUTER_ADMIN_KEY: key,
        NUMBER: value,
        LLMROUTER_PLUGIN_P__TOKEN: key,
        LLMROUTER_OUTBOUND_URL_ALLOWLIST: `https://u:${value}@h/`,
        LLMROUTER_OUTBOUND_HOST_ALLOWLIST: `u:${value}@h`,
      });
      assert.ok(text.length > 0);
      assert.ok(!text.includes(value.slice(0, 8)), text);
      assert.ok(!text.includes(value.slice(8)), text);
    }),
    { numRuns: 200 },
  );
});

function outcome(cwd: string, yaml: string, env: Readonly<Record<string, string>>): string {
  const path = `${cwd}/c.yaml`;
  writeFileSync(path, yaml);
  try {
    const config = loadConfig({ env: { ...env, LLMROUTER_CONFIG: path }, cwd, isTTY: false });
    return (
      inspect([config.admin, config.deployments, config.warnings], { depth: null }) +
      JSON.stringify(config.admin)
    );
  } catch (error) {
    return inspect(error, { depth: null });
  }
}
