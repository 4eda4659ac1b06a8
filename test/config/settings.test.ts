import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { settingPrefix, toEnvName } from '../../src/config/env-name.ts';
import { resolveSettings } from '../../src/config/settings.ts';
import type { PluginSettings } from '../../src/plugin-api/context.ts';
import { type Env, loadYaml, problemsOf } from './workspace.ts';

type Schema = Readonly<Record<string, unknown>>;

interface Given {
  readonly plugin?: string;
  readonly file?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly references?: Readonly<Record<string, string>>;
  readonly schema?: Schema | null;
  readonly debug?: boolean;
}

function settingsOf(given: Given): PluginSettings {
  const { plugin = 'p', file, env = {}, references = {}, schema = null, debug = false } = given;
  const sources = {
    file: new Map(file === undefined ? [] : [[plugin, file]]),
    env: new Map(Object.entries(env)),
    references: new Map(Object.entries(references)),
  };
  return resolveSettings({ plugin, schema, sources, debug });
}

function object(properties: Schema, more: Schema = {}): Schema {
  return { type: 'object', properties, ...more };
}

const NAMES: readonly (readonly [string, string])[] = [
  ['auth-api-keys', 'AUTH_API_KEYS'],
  ['keysFile', 'KEYS_FILE'],
  ['keys_file', 'KEYS_FILE'],
  ['KEYS_FILE', 'KEYS_FILE'],
  ['baseURL', 'BASE_URL'],
  ['URLPath', 'URL_PATH'],
  ['s3Bucket', 'S3_BUCKET'],
  ['MyPlugin', 'MY_PLUGIN'],
  ['a.b/c', 'A_B_C'],
];

for (const [name, envName] of NAMES) {
  test(`the name ${name} is ${envName} in variables`, () => assert.equal(toEnvName(name), envName));
}

test('the file and the environment are joined, the environment wins', (t) => {
  const env: Env = {
    LLMROUTER_PLUGIN_AUTH_API_KEYS__KEYS_FILE: '/env.json',
    LLMROUTER_PLUGIN_AUTH__KEYS_FILE: 'x',
  };
  const config = loadYaml(t, 'plugins: {auth-api-keys: {keys_file: ./keys.json, other: 1}}', env);
  const settings = resolveSettings({
    plugin: 'auth-api-keys',
    schema: object({ keysFile: { type: 'string' } }),
    sources: config.plugins.settings,
    debug: false,
  });
  assert.deepEqual({ ...settings }, { keysFile: '/env.json', other: 1, debug: false });
});

test('a key is called as the schema calls it, else as the file does, else in camelCase', () => {
  const env = { LLMROUTER_PLUGIN_P__KEYS_FILE: 'a' };
  const file = { keys_file: 'b' };
  assert.deepEqual(Object.keys(settingsOf({ env, file, schema: object({ keysFile: {} }) })), [
    'keysFile',
    'debug',
  ]);
  assert.deepEqual(Object.keys(settingsOf({ env, file })), ['keys_file', 'debug']);
  assert.deepEqual(Object.keys(settingsOf({ env })), ['keysFile', 'debug']);
});

test('get finds every spelling of a key', () => {
  const settings = settingsOf({ file: { keys_file: 'a' } });
  for (const key of ['keysFile', 'keys_file', 'KEYS_FILE', 'keys-file']) assert.equal(settings.get(key), 'a');
});

test('get gives the fallback for what is not set, and what is set when it is false, 0, null or empty', () => {
  const settings = settingsOf({ file: { no: false, zero: 0, empty: '', nil: null } });
  assert.equal(settings.get('missing', 7), 7);
  assert.equal(settings.get('missing'), undefined);
  assert.equal(settings.get('no', true), false);
  assert.equal(settings.get('zero', 1), 0);
  assert.equal(settings.get('empty', 'x'), '');
  assert.equal(settings.get('nil', 'x'), null);
});

test('get works apart from its settings', () => {
  const { get } = settingsOf({ file: { a: 1 } });
  assert.equal(get('a'), 1);
});

test('two spellings of one key in the file are a problem', () => {
  assert.deepEqual(
    problemsOf(() => settingsOf({ file: { keysFile: 'a', keys_file: 'b' } })),
    ['plugin "p": plugins.p.keys_file: got the setting plugins.p.keysFile again, expected it once'],
  );
});

test('defaults of the schema fill what is not set, nested ones too', () => {
  const schema = object({
    threshold: { type: 'number', default: 0.7 },
    retry: { ...object({ times: { default: 2 } }), default: {} },
  });
  const settings = settingsOf({ schema });
  assert.equal(settings.threshold, 0.7);
  assert.deepEqual({ ...(settings.retry as object) }, { times: 2 });
});

test("the schema's defaults are not shared between two resolutions", () => {
  const schema = object({ list: { type: 'array', default: [1] } });
  assert.notEqual(settingsOf({ schema }).list, settingsOf({ schema }).list);
  assert.ok(!Object.isFrozen(schema));
});

const COERCED: readonly (readonly [string, unknown, unknown])[] = [
  ['0.9', { type: 'number' }, 0.9],
  [' -3 ', { type: 'integer' }, -3],
  ['1e3', { type: 'number' }, 1000],
  ['TRUE', { type: 'boolean' }, true],
  ['0', { type: 'boolean' }, false],
  ['0', { type: 'string' }, '0'],
  [' x ', { type: 'string' }, ' x '],
  ['a, b,,c', { type: 'array', items: { type: 'string' } }, ['a', 'b', 'c']],
  ['1,2', { type: 'array', items: { type: 'integer' } }, [1, 2]],
  ['["a,b"]', { type: 'array' }, ['a,b']],
  ['', { type: 'array' }, []],
  ['{"a": {"b": [1]}}', { type: 'object' }, { a: { b: [1] } }],
  ['5', { type: ['integer', 'null'] }, 5],
  ['none', { type: ['integer', 'string'] }, 'none'],
  ['5', { anyOf: [{ type: 'number' }, { type: 'boolean' }] }, 5],
  ['2', { enum: [1, 2] }, 2],
  ['true', { const: true }, true],
  ['5', {}, '5'],
];

for (const [text, schema, value] of COERCED) {
  test(`the variable's text "${text}" is read as ${JSON.stringify(schema)} asks`, () => {
    const settings = settingsOf({ env: { LLMROUTER_PLUGIN_P__X: text }, schema: object({ x: schema }) });
    assert.equal(JSON.stringify(settings.x), JSON.stringify(value));
  });
}

test('values of the file are not coerced', () => {
  const schema = object({ n: { type: 'number' } });
  assert.deepEqual(
    problemsOf(() => settingsOf({ file: { n: '5' }, schema })),
    ['plugin "p": plugins.p.n: got "5", expected number'],
  );
});

test('all problems name the plugin, where the setting was made, the value seen and the value expected', () => {
  const schema = object(
    {
      threshold: { type: 'number', minimum: 0 },
      mode: { enum: ['block', 'observe'] },
      hooks: { type: 'array', items: object({ url: { type: 'string', format: 'uri' } }) },
    },
    { required: ['region'], additionalProperties: false },
  );
  const file = { mode: 'blok', hooks: [{ url: 'nope' }], treshold: 1 };
  assert.deepEqual(
    problemsOf(() => settingsOf({ env: { LLMROUTER_PLUGIN_P__THRESHOLD: 'high' }, file, schema })).toSorted(),
    [
      'plugin "p": LLMROUTER_PLUGIN_P__THRESHOLD: got "high", expected number',
      'plugin "p": plugins.p.hooks, at hooks.0.url: got "nope", expected a value that must match format "uri"',
      'plugin "p": plugins.p.mode: got "blok", expected one of ["block","observe"]',
      'plugin "p": plugins.p.treshold: got 1, expected no such setting: the plugin does not know it; did you mean threshold?',
      'plugin "p": setting region (plugins.p.region or LLMROUTER_PLUGIN_P__REGION): got nothing, expected it to be set',
    ],
  );
});

test('values that may be secrets are not shown', () => {
  const number = { type: 'number' };
  const schema = object({
    apiKey: number,
    pin: { ...number, writeOnly: true },
    login: { type: 'object', properties: { password: number }, additionalProperties: number },
    vault: { ...object({ a: number }), writeOnly: true },
    limit: number,
  });
  const secret = 'hunter2';
  const file = {
    apiKey: secret,
    pin: secret,
    login: { password: secret },
    vault: { a: secret },
    limit: 'os.environ/LIMIT',
  };
  const problems = problemsOf(() => settingsOf({ file, schema, references: { LIMIT: 'hunter3' } }));
  assert.equal(problems.length, 5);
  for (const problem of problems) assert.match(problem, /got a text \(not shown\), expected number$/);
});

test('os.environ/NAME in the file stands for the variable', (t) => {
  const { settings } = loadYaml(t, 'plugins: {p: {a: {b: [os.environ/TOKEN]}}}', { TOKEN: 'x' }).plugins;
  const resolved = resolveSettings({ plugin: 'p', schema: null, sources: settings, debug: false });
  assert.equal(JSON.stringify(resolved.a), '{"b":["x"]}');
});

for (const [what, schema] of Object.entries<Schema>({
  'a type that does not exist': { type: 'objekt' },
  'a reference to nowhere': { $ref: '#/definitions/x' },
  'a format that nobody checks': object({ x: { type: 'string', format: 'iban' } }),
  'a pattern that does not compile': object({ x: { type: 'string', pattern: '(' } }),
  'an unknown dialect': { $schema: 'http://example.com/schema' },
})) {
  test(`a schema with ${what} is a problem, with settings or without`, () => {
    const problems = problemsOf(() => settingsOf({ schema }));
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', /^plugin "p": its settings schema cannot be used: /);
  });
}

test('schemas of draft 2020-12 and unknown keywords are understood', () => {
  const schema = object(
    { pair: { type: 'array', prefixItems: [{ type: 'number' }] } },
    { $schema: 'https://json-schema.org/draft/2020-12/schema', 'x-order': 1 },
  );
  assert.equal(problemsOf(() => settingsOf({ schema, file: { pair: ['a'] } })).length, 1);
  assert.deepEqual(settingsOf({ schema, file: { pair: [1] } }).pair, [1]);
});

test('Plugin Context: debug follows LLMROUTER_DEBUG unless the plugin has its own', () => {
  assert.equal(settingsOf({ debug: true }).get('debug', false), true);
  assert.equal(settingsOf({}).get('debug', true), false);
  assert.equal(settingsOf({ debug: true, file: { debug: false } }).debug, false);
  assert.equal(settingsOf({ debug: true, env: { LLMROUTER_PLUGIN_P__DEBUG: 'false' } }).debug, false);
  const strict = object({}, { additionalProperties: false });
  assert.equal(settingsOf({ schema: strict, file: { debug: true } }).debug, true);
  const declared = object({ debug: { type: 'boolean', default: false } });
  assert.equal(settingsOf({ debug: true, schema: declared }).debug, true);
  const other = object({ debug: { type: 'string', default: 'quiet' } });
  assert.equal(settingsOf({ debug: true, schema: other }).debug, 'quiet');
  assert.deepEqual(
    problemsOf(() => settingsOf({ env: { LLMROUTER_PLUGIN_P__DEBUG: 'maybe' } })),
    ['plugin "p": LLMROUTER_PLUGIN_P__DEBUG: got a text (not shown), expected true or false'],
  );
});

test('settings are frozen all the way down and do not share with their sources', () => {
  const file = { a: { b: [1] } };
  const settings = settingsOf({ file });
  assert.throws(() => Object.assign(settings, { c: 1 }), TypeError);
  assert.throws(() => (settings.a as { b: number[] }).b.push(2), TypeError);
  assert.throws(() => Object.defineProperty(settings, 'get', { value: 1 }), TypeError);
  file.a.b.push(3);
  assert.equal(JSON.stringify(settings.a), '{"b":[1]}');
});

test('names that every object inherits are ordinary settings', () => {
  const text =
    '{"__proto__": {"polluted": 1}, "constructor": 2, "toString": 3, "get": 4, "a": {"__proto__": {"x": 5}}}';
  const settings = settingsOf({ plugin: '__proto__', file: JSON.parse(text) });
  assert.deepEqual(
    ['constructor', 'toString', 'get'].map((key) => settings.get(key)),
    [2, 3, 4],
  );
  assert.equal(typeof settings.get, 'function');
  assert.equal(JSON.stringify(settings.get('__proto__')), '{"polluted":1}');
  assert.equal(settings.polluted, undefined);
  assert.equal((settings.a as { x?: number }).x, undefined);
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});

test('what nobody has set is unset, whatever every object inherits', () => {
  const settings = settingsOf({});
  for (const key of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'get']) {
    assert.equal(settings.get(key, 'fallback'), 'fallback');
  }
  assert.equal(settings.constructor, undefined);
});

test('what every object inherits does not count as set, in a default neither', () => {
  const schema = object({ a: { type: 'object', default: {}, required: ['constructor'] } });
  assert.equal(problemsOf(() => settingsOf({ schema })).length, 1);
});

test('a default or a variable for __proto__ changes no prototype', () => {
  const schema = JSON.parse(
    '{"type":"object","properties":{"__proto__":{"type":"object","default":{"x":1}}}}',
  );
  const settings = settingsOf({ schema });
  assert.equal(settings.x, undefined);
  assert.equal(Object.getPrototypeOf(settings), null);
  const set = settingsOf({ schema, env: { LLMROUTER_PLUGIN_P____PROTO__: '{"x":1}' } });
  assert.equal(JSON.stringify(set.get('__proto__')), '{"x":1}');
  assert.equal(set.x, undefined);
});

test('whatever settings are called, each is found under its own name and its variable', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }),
      fc.string({ minLength: 1 }),
      fc.string(),
      (plugin, key, value) => {
        const file = Object.fromEntries([[key, value]]);
        const expected = key === 'debug' ? undefined : value;
        if (expected === undefined) return;
        assert.equal(settingsOf({ plugin, file }).get(key), expected);
        const env = { [settingPrefix(plugin) + toEnvName(key)]: value };
        if (toEnvName(key) === 'DEBUG') return;
        assert.equal(settingsOf({ plugin, file: { ...file }, env }).get(key), value);
      },
    ),
  );
});
