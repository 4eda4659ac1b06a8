import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { loadEnv, loadYaml, problemsOf } from './workspace.ts';

const LITELLM_USER = `
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://eu.example.com/openai/v1/
      api_key: os.environ/AZURE_KEY
      api_version: "2024-02-01"
      rpm: 480
      tpm: 100000
      timeout: 300
      weight: 2
      extra_headers: {X-Team: blue, x-trace: os.environ/TRACE}
    model_info: {mode: chat, input_cost_per_token: 0.0000025, output_cost_per_token: 1e-5}
  - model_name: llama
    litellm_params: {model: openai/meta-llama/Llama-3-8b, api_base: "http://10.0.0.4:8000", api_key: none}
  - model_name: gpt-4o
    litellm_params: {model: gpt-4o, stream_timeout: 5}
litellm_settings:
  drop_params: true
general_settings:
  master_key: sk-1234
router_settings:
  routing_strategy: least-busy
  num_retries: 4
  allowed_fails: 1
  cooldown_time: 2.5
  fallbacks: [{gpt-4o: [llama]}, {llama: [gpt-4o, claude]}]
  redis_host: localhost
`;
const ENV = { AZURE_KEY: 'sk-azure', TRACE: 'on' };

test("a LiteLLM user's file gives the deployments it describes", (t) => {
  const [first, second, third] = loadYaml(t, LITELLM_USER, ENV).deployments;
  assert.equal(first?.apiKey?.reveal(), 'sk-azure');
  assert.deepEqual(
    { ...first, apiKey: null },
    {
      id: 'gpt-4o/0',
      group: 'gpt-4o',
      provider: 'azure',
      model: 'gpt-4o-eu',
      apiBase: 'https://eu.example.com/openai/v1',
      apiKey: null,
      apiVersion: '2024-02-01',
      headers: { 'x-team': 'blue', 'x-trace': 'on' },
      weight: 2,
      rpm: 480,
      tpm: 100_000,
      order: null,
      timeoutMs: 300_000,
      streamTimeoutMs: null,
      inputCostPerToken: 0.0000025,
      outputCostPerToken: 0.00001,
      responsesOverChat: false,
    },
  );
  assert.equal(second?.provider, 'openai');
  assert.equal(second?.model, 'meta-llama/Llama-3-8b');
  assert.equal(second?.apiBase, 'http://10.0.0.4:8000');
  assert.deepEqual(
    { ...third },
    {
      id: 'gpt-4o/1',
      group: 'gpt-4o',
      provider: 'openai',
      model: 'gpt-4o',
      apiBase: null,
      apiKey: null,
      apiVersion: null,
      headers: {},
      weight: 1,
      rpm: null,
      tpm: null,
      order: null,
      timeoutMs: null,
      streamTimeoutMs: 5000,
      inputCostPerToken: null,
      outputCostPerToken: null,
      responsesOverChat: false,
    },
  );
});

test('router settings are taken over, in milliseconds', (t) => {
  assert.deepEqual(loadYaml(t, LITELLM_USER, ENV).routing, {
    strategy: 'least-busy',
    numRetries: 4,
    allowedFails: 1,
    cooldownMs: 2500,
    fallbacks: [
      { from: 'gpt-4o', to: ['llama'] },
      { from: 'llama', to: ['gpt-4o', 'claude'] },
    ],
    contextWindowFallbacks: [],
    contentPolicyFallbacks: [],
    defaultFallbacks: [],
  });
});

test('router settings have defaults', () => {
  assert.deepEqual(loadEnv({}).routing, {
    strategy: 'simple-shuffle',
    numRetries: 2,
    allowedFails: 3,
    cooldownMs: 30_000,
    fallbacks: [],
    contextWindowFallbacks: [],
    contentPolicyFallbacks: [],
    defaultFallbacks: [],
  });
});

test('litellm_settings count where router_settings are silent', (t) => {
  const text = `
model_list:
  - {model_name: a, litellm_params: {model: m, order: 2}}
  - {model_name: a, litellm_params: {model: m, timeout: 9, stream_timeout: 4}}
router_settings: {num_retries: 1, stream_timeout: 3}
litellm_settings:
  num_retries: 7
  request_timeout: 20
  context_window_fallbacks: [{a: [b]}]
  content_policy_fallbacks: [{a: [a]}]
  default_fallbacks: [c]
`;
  const { deployments, routing, warnings } = loadYaml(t, text);
  assert.deepEqual(
    deployments.map(({ order, timeoutMs, streamTimeoutMs }) => [order, timeoutMs, streamTimeoutMs]),
    [
      [2, 20_000, 3000],
      [null, 9000, 4000],
    ],
  );
  assert.equal(routing.numRetries, 1);
  assert.deepEqual(routing.contextWindowFallbacks, [{ from: 'a', to: ['b'] }]);
  assert.deepEqual(routing.contentPolicyFallbacks, [{ from: 'a', to: ['a'] }]);
  assert.deepEqual(warnings, [
    'gateway.yaml:9:3: litellm_settings.context_window_fallbacks: no entry of model_list is named "b"',
    'gateway.yaml:11:3: litellm_settings.default_fallbacks: no entry of model_list is named "c"',
  ]);
});

test('what LiteLLM knows and the gateway does not is warned about, with its place', (t) => {
  assert.deepEqual(loadYaml(t, LITELLM_USER, ENV).warnings, [
    'gateway.yaml:20:3: litellm_settings.drop_params: not supported, ignored',
    'gateway.yaml:22:3: general_settings.master_key: not supported, ignored: clients are NOT asked for this key',
    'gateway.yaml:14:18: model_list[0].model_info.mode: not supported, ignored',
    'gateway.yaml:29:3: router_settings.redis_host: not supported, ignored',
    'gateway.yaml:28:3: router_settings.fallbacks: no entry of model_list is named "claude"',
  ]);
});

test('a slip in a key is warned about with the key that was meant', (t) => {
  assert.deepEqual(loadYaml(t, 'plugin: {}\nrouter_settings: {num_retrys: 1}').warnings, [
    'gateway.yaml:1:1: plugin: not supported, ignored; did you mean plugins?',
    'gateway.yaml:2:19: router_settings.num_retrys: not supported, ignored; did you mean num_retries?',
  ]);
});

test('keys show in no print of the configuration', (t) => {
  const { deployments } = loadYaml(t, LITELLM_USER, ENV);
  assert.ok(!inspect(deployments, { depth: null, showHidden: true }).includes('sk-azure'));
  assert.ok(!JSON.stringify(deployments).includes('sk-azure'));
});

test('a deployment may have no Responses API', (t) => {
  const yaml = `model_list:
  - {model_name: a, litellm_params: {model: b, use_chat_completions_api: true}}
  - {model_name: c, litellm_params: {model: d}, model_info: {mode: chat}}`;
  assert.deepEqual(
    loadYaml(t, yaml).deployments.map(({ responsesOverChat }) => responsesOverChat),
    [true, false],
  );
  const wrong = 'model_list: [{model_name: a, litellm_params: {model: b, use_chat_completions_api: maybe}}]';
  assert.match(
    problemsOf(() => loadYaml(t, wrong)).join(),
    /use_chat_completions_api: got "maybe", expected true or false/,
  );
});

test('numbers may come from the environment', (t) => {
  const yaml =
    'model_list: [{model_name: a, litellm_params: {model: os.environ/M, rpm: os.environ/RPM, timeout: os.environ/T}}]';
  const [deployment] = loadYaml(t, yaml, { M: 'x/y', RPM: '5', T: '0.5' }).deployments;
  assert.deepEqual(
    [deployment?.provider, deployment?.model, deployment?.rpm, deployment?.timeoutMs],
    ['x', 'y', 5, 500],
  );
});

test('every reference to a variable that is unset or blank is a problem that names it', (t) => {
  const yaml = `model_list:
  - model_name: a
    litellm_params: {model: b, api_key: os.environ/NOPE, rpm: os.environ/BLANK, extra_headers: {x: os.environ/constructor}}
plugins: {guard: {keys: [os.environ/GONE]}}
general_settings: {master_key: os.environ/IGNORED}`;
  assert.deepEqual(
    problemsOf(() => loadYaml(t, yaml, { BLANK: ' ' })),
    [
      'gateway.yaml:3:32: model_list[0].litellm_params.api_key: got os.environ/NOPE, but the variable NOPE is not set; expected it to be set',
      'gateway.yaml:3:58: model_list[0].litellm_params.rpm: got os.environ/BLANK, but the variable BLANK is blank; expected it to be set',
      'gateway.yaml:3:97: model_list[0].litellm_params.extra_headers.x: got os.environ/constructor, but the variable constructor is not set; expected it to be set',
      'gateway.yaml:4:26: plugins.guard.keys[0]: got os.environ/GONE, but the variable GONE is not set; expected it to be set',
    ],
  );
});

const BAD: readonly (readonly [string, string])[] = [
  ['model_list: {}', 'model_list: got a mapping, expected a list'],
  ['model_list: [1]', 'model_list[0]: got 1, expected a mapping with model_name and litellm_params'],
  [
    'model_list: [{model_name: a}]',
    'model_list[0].litellm_params: got nothing, expected a mapping with model',
  ],
  [
    'model_list: [{litellm_params: {model: a}}]',
    'model_list[0].model_name: got nothing, expected a text that is not blank',
  ],
  ['router_settings: 1', 'router_settings: got 1, expected a mapping'],
  [
    'router_settings: {num_retries: -1}',
    'router_settings.num_retries: got -1, expected a whole number of at least 0',
  ],
  [
    'router_settings: {num_retries: 1.5}',
    'router_settings.num_retries: got 1.5, expected a whole number of at least 0',
  ],
  [
    'router_settings: {fallbacks: {a: [b]}}',
    'router_settings.fallbacks: got a mapping, expected a list of mappings',
  ],
  [
    'router_settings: {fallbacks: [{a: b}]}',
    'router_settings.fallbacks[0].a: got "b", expected a list of model names',
  ],
  ['plugins: [a]', 'plugins: got a list, expected a mapping of plugin names to settings'],
  ['plugins: {a: hunter2}', 'plugins.a: got a text (not shown), expected a mapping of settings'],
];

const BAD_PARAMS: readonly (readonly [string, string])[] = [
  ['model: openai/', 'model: got "openai/", expected provider/model, for example openai/gpt-4o'],
  ['model: /x', 'model: got "/x", expected provider/model, for example openai/gpt-4o'],
  ['model: 4', 'model: got 4, expected provider/model, for example openai/gpt-4o'],
  ['model: m, weight: -1', 'weight: got -1, expected a number of at least 0'],
  ['model: m, weight: .inf', 'weight: got Infinity, expected a number of at least 0'],
  ['model: m, weight: true', 'weight: got true, expected a number of at least 0'],
  ['model: m, rpm: 0', 'rpm: got 0, expected a whole number of at least 1'],
  ['model: m, rpm: many', 'rpm: got "many", expected a whole number of at least 1'],
  ['model: m, timeout: 0', 'timeout: got 0, expected a number of seconds from 0.001 to 2147483'],
  [
    'model: m, api_key: 12345',
    'api_key: got a number (not shown), expected a text of printable ASCII characters without blanks',
  ],
  [
    'model: m, api_key: "sk a"',
    'api_key: got a text (not shown), expected a text of printable ASCII characters without blanks',
  ],
  [
    'model: m, api_base: ftp://x/y',
    'api_base: got "ftp://x/y", expected an http or https URL without user info, query and fragment',
  ],
  [
    'model: m, api_base: api.example.com',
    'api_base: got "api.example.com", expected an http or https URL without user info, query and fragment',
  ],
  [
    'model: m, api_base: "https://u:pw@x/y?k=1"',
    'api_base: got "https://x/y" with parts that are not shown, expected an http or https URL without user info, query and fragment',
  ],
  [
    'model: m, headers: {a b: c}',
    'headers.a b: got a text (not shown), expected a mapping of header names to texts',
  ],
  [
    'model: m, headers: {a: "c\\nd"}',
    'headers.a: got a text (not shown), expected a text that a header can carry',
  ],
  ['model: m, headers: [a]', 'headers: got a list, expected a mapping of header names to texts'],
  ...['Connection', 'content-length', 'Transfer-Encoding', 'keep-alive', 'Upgrade'].map(
    (name): [string, string] => [
      `model: m, headers: {${name}: x}`,
      `headers.${name}: got a text (not shown), expected headers that do not belong to the connection or to the framing of the body`,
    ],
  ),
];

for (const [params, problem] of BAD_PARAMS) {
  test(`litellm_params {${params}} is a problem`, (t) => {
    const yaml = `model_list:\n  - model_name: a\n    litellm_params: {${params}}`;
    const problems = problemsOf(() => loadYaml(t, yaml));
    assert.deepEqual(
      problems.map((line) => line.replace(/^gateway\.yaml:3:\d+: model_list\[0\]\.litellm_params\./, '')),
      [problem],
    );
  });
}

for (const [yaml, problem] of BAD) {
  test(`${yaml} is a problem`, (t) => {
    const problems = problemsOf(() => loadYaml(t, yaml));
    assert.deepEqual(
      problems.map((line) => line.replace(/^gateway\.yaml:1:\d+: /, '')),
      [problem],
    );
  });
}

test('a value that comes from the environment never shows', (t) => {
  const yaml = 'model_list: [{model_name: a, litellm_params: {model: b, rpm: os.environ/KEY}}]';
  assert.deepEqual(
    problemsOf(() => loadYaml(t, yaml, { KEY: 'hunter2' })),
    [
      'gateway.yaml:1:57: model_list[0].litellm_params.rpm: got "os.environ/KEY" (its value is not shown), expected a whole number of at least 1',
    ],
  );
});

test('empty sections, empty values and plugins without settings are fine', (t) => {
  const { deployments, plugins } = loadYaml(
    t,
    'model_list:\nrouter_settings:\nplugins:\n  hello:\n  __proto__: {a: 1}\n',
  );
  assert.deepEqual(deployments, []);
  assert.deepEqual([...plugins.settings.file.keys()], ['hello', '__proto__']);
  const yaml =
    'model_list: [{model_name: a, litellm_params: {model: b, api_key: "", api_base: null}, model_info: }]';
  assert.equal(loadYaml(t, yaml).deployments[0]?.apiKey, null);
});

test('groups may have names that every object inherits', (t) => {
  const entry = (name: string) => `  - {model_name: ${name}, litellm_params: {model: m}}\n`;
  const yaml = `model_list:\n${['__proto__', 'constructor', '__proto__'].map(entry).join('')}`;
  assert.deepEqual(
    loadYaml(t, yaml).deployments.map((deployment) => deployment.id),
    ['__proto__/0', 'constructor/0', '__proto__/1'],
  );
});
