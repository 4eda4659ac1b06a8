import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { type RequestHandler, Router } from 'express';
import { Contributions, summarize } from '../../src/contributions.ts';
import { isGatewayError, RouteConflictError } from '../../src/errors.ts';
import type { PluginApp } from '../../src/plugin-api/app.ts';
import { PLUGIN_CAPABILITIES, type PluginCapability } from '../../src/plugin-api/capability.ts';
import { createNameTable } from '../../src/registrar/name-table.ts';
import { createRegistrar, type RegistrarOptions } from '../../src/registrar/registrar.ts';

const handler: RequestHandler = (_req, res) => void res.end();
const other: RequestHandler = (_req, _res, next) => next();
const backend = {
  get: () => undefined,
  set: () => undefined,
  delete: () => false,
  increment: () => 0,
  compareAndSet: () => false,
  list: () => [],
};

/** The table of the registrar (docs/plugins.md), written out: each method of the registrar, what it needs, and one proper call. */
const CALLS: readonly (readonly [keyof PluginApp, PluginCapability, (app: PluginApp) => unknown])[] = [
  ['get', 'ROUTES', (app) => app.get('/x', handler)],
  ['post', 'ROUTES', (app) => app.post('/x', handler)],
  ['put', 'ROUTES', (app) => app.put('/x', handler)],
  ['patch', 'ROUTES', (app) => app.patch('/x', handler)],
  ['delete', 'ROUTES', (app) => app.delete('/x', handler)],
  ['options', 'ROUTES', (app) => app.options('/x', handler)],
  ['head', 'ROUTES', (app) => app.head('/x', handler)],
  ['all', 'ROUTES', (app) => app.all('/x', handler)],
  ['mount', 'ROUTES', (app) => app.mount('/x', Router())],
  ['use', 'MIDDLEWARE', (app) => app.use(handler)],
  ['llm', 'MIDDLEWARE', (app) => app.llm({ onRequest: () => undefined })],
  ['routingStrategy', 'ROUTING_STRATEGY', (app) => app.routingStrategy('first', { select: () => undefined })],
  [
    'toolRuntime',
    'TOOL_RUNTIME',
    (app) => app.toolRuntime({ listTools: () => [], callTool: () => ({ content: [] }) }),
  ],
  ['evaluator', 'EVALUATOR', (app) => app.evaluator({ name: 'e', mode: 'block', input: () => undefined })],
  ['exporter', 'OBSERVABILITY_EXPORTER', (app) => app.exporter({ name: 'x', export: () => undefined })],
  ['authProvider', 'AUTH_PROVIDER', (app) => app.authProvider({ name: 'a', authenticate: () => null })],
  ['storageBackend', 'STORAGE_BACKEND', (app) => app.storageBackend(backend)],
  [
    'provider',
    'PROVIDER',
    (app) => app.provider('p', { chat: () => ({ status: 200, headers: {}, body: '' }) }),
  ],
];

interface SetUp {
  readonly app: PluginApp;
  readonly bag: Contributions;
  readonly claimed: string[];
  readonly names: RegistrarOptions['names'];
  readonly close: () => void;
}

function setUp(overrides: Partial<RegistrarOptions> = {}): SetUp {
  const bag = new Contributions();
  const claimed: string[] = [];
  const names = createNameTable();
  const registrar = createRegistrar({
    plugin: 'a',
    declared: null,
    allowed: null,
    bag,
    claimRoutes: (method, paths) => void claimed.push(...paths.map((path) => `${method} ${path}`)),
    names,
    ...overrides,
  });
  return {
    app: registrar.app,
    bag,
    claimed,
    names: overrides.names ?? names,
    close: () => registrar.close(),
  };
}

function codeOf(fn: () => unknown): string {
  try {
    fn();
    return 'ok';
  } catch (error) {
    assert.ok(isGatewayError(error), String(error));
    return error.code;
  }
}

const EMPTY = JSON.stringify(summarize(null));

/** Holds that a refused call left no trace: nothing in the bag, no path claimed, no name taken. */
function assertUntouched({ bag, claimed, names }: SetUp): void {
  assert.equal(JSON.stringify(summarize(bag)), EMPTY);
  assert.deepEqual(claimed, []);
  names.claim('routing strategy', 'first', 'somebody else');
  names.claim('provider', 'p', 'somebody else');
  names.claim('storage backend', 'the gateway', 'somebody else');
}

function subsets(): PluginCapability[][] {
  return Array.from({ length: 2 ** PLUGIN_CAPABILITIES.length }, (_, bits) =>
    PLUGIN_CAPABILITIES.filter((_capability, index) => (bits >> index) & 1),
  );
}

/** Every method under one policy: what it may and what it may not do. */
function checkAll(
  declared: readonly PluginCapability[] | null,
  allowed: readonly PluginCapability[] | null,
): void {
  for (const [method, needed, call] of CALLS) {
    const registrar = setUp({ declared, allowed });
    let expected = 'ok';
    if (declared !== null && !declared.includes(needed)) expected = 'capability_not_declared';
    else if (allowed !== null && !allowed.includes(needed)) expected = 'capability_not_allowed';
    const told = `${method}() declared ${declared} allowed ${allowed}`;
    assert.equal(
      codeOf(() => call(registrar.app)),
      expected,
      told,
    );
    if (expected === 'ok') assert.notEqual(JSON.stringify(summarize(registrar.bag)), EMPTY, told);
    else assertUntouched(registrar);
  }
}

describe('the registrar, for all 512 subsets of the nine capabilities and each of its methods', () => {
  before(() => {
    assert.equal(subsets().length, 512);
    const methods = new Set(CALLS.map(([method]) => method));
    assert.deepEqual(methods, new Set(Object.keys(setUp().app)), 'a method is missing in the table');
  });

  it('does what the metadata declares and nothing else (Plugin Metadata: what this plugin provides)', () => {
    for (const declared of subsets()) checkAll(declared, null);
  });

  it('bounds a legacy plugin by what the operator allows (Backwards Compatibility)', () => {
    for (const allowed of subsets()) checkAll(null, allowed);
  });

  it('does what is both declared and allowed (Capability Security Policy)', () => {
    for (const [index, declared] of subsets().entries()) {
      checkAll(declared, declared);
      checkAll(declared, []);
      checkAll(
        declared,
        PLUGIN_CAPABILITIES.filter((capability) => !declared.includes(capability)),
      );
      checkAll(declared, subsets()[(index * 37 + 11) % 512] ?? []);
    }
  });

  it('lets a legacy plugin do everything where the operator says nothing (Backwards Compatibility)', () => {
    checkAll(null, null);
  });
});

describe('a refused call', () => {
  it('names plugin, call, the capability missing and what was declared', () => {
    const { app } = setUp({ declared: ['MIDDLEWARE', 'EVALUATOR'] });
    assert.throws(() => app.get('/x', handler), {
      name: 'CapabilityError',
      code: 'capability_not_declared',
      plugin: 'a',
      message: 'Plugin "a": get() needs the capability ROUTES; its metadata declares MIDDLEWARE, EVALUATOR',
      hint: /Add "ROUTES"/,
    });
    assert.throws(() => setUp({ declared: [] }).app.get('/x', handler), { message: /declares none$/ });
  });

  it('names the variable that does not allow it', () => {
    const { app } = setUp({ allowed: ['MIDDLEWARE'] });
    assert.throws(() => app.get('/x', handler), {
      code: 'capability_not_allowed',
      message:
        'Plugin "a": get() needs the capability ROUTES; LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES allows MIDDLEWARE',
      hint: /LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES/,
    });
  });

  it('is refused for its capability before its arguments are looked at', () => {
    const { app } = setUp({ declared: [] });
    const hostile = new Proxy(() => undefined, {
      get: () => assert.fail('looked at'),
    });
    for (const [method] of CALLS) {
      const call = app[method] as unknown as (...values: unknown[]) => unknown;
      assert.equal(
        codeOf(() => call(hostile, hostile)),
        'capability_not_declared',
      );
    }
  });
});

describe('the registrar', () => {
  it('is frozen: no plugin can replace its methods', () => {
    const { app } = setUp();
    assert.ok(Object.isFrozen(app));
    assert.throws(() => Object.assign(app, { get: () => app }), TypeError);
  });

  it('gives nothing but its methods', () => {
    assert.deepEqual(
      Object.values(setUp().app).filter((value) => typeof value !== 'function'),
      [],
    );
  });

  it('works with methods taken off it', () => {
    const { app, claimed } = setUp();
    const { get } = app;
    get('/x', handler);
    assert.deepEqual(claimed, ['get /x']);
  });

  it('returns itself from every call, for chaining', () => {
    const { app } = setUp();
    for (const [method, , call] of CALLS) assert.equal(call(app), app, method);
  });

  it('is closed after startup: every call is refused without effect', () => {
    for (const [method, , call] of CALLS) {
      const registrar = setUp();
      registrar.close();
      assert.throws(() => call(registrar.app), {
        code: 'plugin_load',
        message: `Plugin "a": ${method}() was called after startup; plugins register during startup() only`,
      });
      assertUntouched(registrar);
    }
  });

  it('keeps registrations in order', () => {
    const { app, bag } = setUp();
    app.get('/b', handler).post('/a', handler).mount('/r', Router()).use('/m', handler).use(handler, other);
    assert.deepEqual(summarize(bag).routes, ['GET /b', 'POST /a', '* /r/*']);
    assert.deepEqual(
      bag.middleware.map(({ path }) => path),
      [['/m'], null, null],
    );
    assert.deepEqual(
      bag.middleware.map((entry) => entry.handler),
      [handler, handler, other],
    );
  });

  it('takes a list of paths', () => {
    const { app, bag, claimed } = setUp();
    app.get(['/x', '/y/:id'], handler, other).use(['/x', '/z'], handler);
    assert.deepEqual(claimed, ['get /x', 'get /y/:id']);
    assert.deepEqual(bag.routes, [
      { method: 'get', path: '/x', handlers: [handler, other] },
      { method: 'get', path: '/y/:id', handlers: [handler, other] },
    ]);
    assert.deepEqual(bag.middleware, [{ path: ['/x', '/z'], handler }]);
  });

  it('takes handlers in nested lists, as Express does', () => {
    const { app, bag } = setUp();
    app.get('/x', [handler, [other]] as never).use([handler, other] as never);
    assert.deepEqual(bag.routes[0]?.handlers, [handler, other]);
    assert.equal(bag.middleware.length, 2);
  });

  it('adds none of several paths when one of them is in conflict', () => {
    const { app, bag } = setUp({
      claimRoutes: (_method, paths) => {
        if (paths.includes('/theirs')) throw new RouteConflictError('GET /theirs of "a" belongs to "b"');
      },
    });
    assert.throws(() => app.get(['/mine', '/theirs'], handler), { code: 'route_conflict' });
    assert.deepEqual(bag.routes, []);
  });
});

const ERROR_HANDLER = (_error: unknown, _req: unknown, _res: unknown, _next: unknown): void => undefined;

/** Wrong arguments, the message's part about what was seen, and the part about what is expected. */
const WRONG: readonly (readonly [
  call: (app: Record<keyof PluginApp, (...values: unknown[]) => unknown>) => unknown,
  seen: string,
  expected: string,
])[] = [
  [(app) => app.get(), 'get() got path undefined', 'a string that begins with "/"'],
  [(app) => app.get('/x'), 'get() got no handler', 'at least one handler function'],
  [(app) => app.get('/x', []), 'get() got no handler', 'at least one handler function'],
  [(app) => app.get('x', handler), 'get() got path "x"', 'begins with "/"'],
  [(app) => app.get('', handler), 'get() got path ""', 'begins with "/"'],
  [(app) => app.get([], handler), 'get() got no path', 'at least one path'],
  [(app) => app.get(['/x', 7], handler), 'get() got path number', 'begins with "/"'],
  [(app) => app.get(/x/, handler), 'get() got path the regular expression /x/', 'begins with "/"'],
  [(app) => app.get(handler), 'get() got path a function', 'begins with "/"'],
  [(app) => app.get('/a(b', handler), 'get() got path "/a(b"', 'a path as Express 5 has it'],
  [(app) => app.post('/x', 'no'), 'post() got "no"', 'a handler function'],
  [(app) => app.put('/x', handler, null), 'put() got null', 'a handler function'],
  [(app) => app.patch('/x', {}), 'patch() got object', 'a handler function'],
  [
    (app) => app.all('/x', ERROR_HANDLER),
    'all() got an error handler (four parameters)',
    'inside a router given to mount()',
  ],
  [(app) => app.mount('/x'), 'mount() got undefined', 'a handler function'],
  [(app) => app.mount(Router()), 'mount() got path a function', 'begins with "/"'],
  [(app) => app.use(), 'use() got no handler', 'at least one handler function'],
  [(app) => app.use('/x'), 'use() got no handler', 'at least one handler function'],
  [(app) => app.use('x', handler), 'use() got path "x"', 'begins with "/"'],
  [(app) => app.use(/x/, handler), 'use() got path the regular expression /x/', 'begins with "/"'],
  [(app) => app.use('/*', handler), 'use() got path "/*"', 'a path as Express 5 has it'],
  [
    (app) => app.use(ERROR_HANDLER),
    'use() got an error handler (four parameters)',
    'the gateway answers errors itself',
  ],
  [(app) => app.use('/x', ERROR_HANDLER), 'use() got an error handler', 'up to three parameters'],
  [(app) => app.llm(), 'llm() got undefined', 'onRequest?, onRoute?, onChunk?, onResponse?, onError?'],
  [(app) => app.llm({ onChunk: 7 }), 'llm() got onChunk: number', 'an object with'],
  [(app) => app.routingStrategy('s', {}), 'routingStrategy() got select: undefined', 'select, observe?'],
  [
    (app) => app.routingStrategy(' ', { select: handler }),
    'routingStrategy() got name " "',
    'a string that is not blank',
  ],
  [(app) => app.routingStrategy({ select: handler }), 'routingStrategy() got undefined', 'select, observe?'],
  [
    (app) => app.toolRuntime({ listTools: handler }),
    'toolRuntime() got callTool: undefined',
    'listTools, callTool',
  ],
  [(app) => app.evaluator({ mode: 'block', input: handler }), 'evaluator() got name undefined', 'not blank'],
  [
    (app) => app.evaluator({ name: 'e', mode: 'BLOCK', input: handler }),
    'evaluator() got mode "BLOCK"',
    '"block" or "observe"',
  ],
  [
    (app) => app.evaluator({ name: 'e', input: handler }),
    'evaluator() got mode undefined',
    '"block" or "observe"',
  ],
  [
    (app) => app.evaluator({ name: 'e', mode: 'block' }),
    'evaluator() got neither input nor output',
    'at least one of',
  ],
  [(app) => app.exporter({ name: 'x' }), 'exporter() got export: undefined', 'export, flush?'],
  [
    (app) => app.exporter({ name: 'x', export: handler, flush: 1 }),
    'exporter() got flush: number',
    'export, flush?',
  ],
  [(app) => app.authProvider({ authenticate: handler }), 'authProvider() got name undefined', 'not blank'],
  [(app) => app.authProvider({ name: 'a' }), 'authProvider() got authenticate: undefined', 'authenticate'],
  [
    (app) => app.storageBackend({ ...backend, list: undefined }),
    'storageBackend() got list: undefined',
    'get, set, delete',
  ],
  [(app) => app.provider('p', null), 'provider() got null', 'chat'],
  [(app) => app.provider('p', {}), 'provider() got none of its methods', 'embeddingModel()'],
  [(app) => app.llm({}), 'llm() got none of its methods', 'onRequest(), onRoute(), onChunk()'],
  [(app) => app.llm({ onRequests() {} } as never), 'llm() got none of its methods', 'onError()'],
  [(app) => app.provider('', { chat: handler }), 'provider() got name ""', 'not blank'],
];

describe('wrong arguments', () => {
  for (const [call, seen, expected] of WRONG) {
    it(`are refused with what was seen: ${seen}`, () => {
      const registrar = setUp();
      assert.throws(
        () => call(registrar.app as never),
        (error) => {
          assert.ok(isGatewayError(error), String(error));
          assert.equal(error.code, 'plugin_load');
          assert.equal(error.plugin, 'a');
          assert.ok(error.message.startsWith(`Plugin "a": ${seen}`), error.message);
          assert.ok(error.message.includes(expected), error.message);
          return true;
        },
      );
      assertUntouched(registrar);
    });
  }
});

describe('names', () => {
  for (const [what, register, label] of [
    [
      'routing strategy',
      (app) => app.routingStrategy('fast', { select: () => undefined }),
      'the routing strategy "fast"',
    ],
    [
      'provider',
      (app) => app.provider('fast', { chat: () => ({ status: 200, headers: {}, body: '' }) }),
      'the provider "fast"',
    ],
    ['storage backend', (app) => app.storageBackend(backend), 'the storage backend'],
  ] satisfies [string, (app: PluginApp) => unknown, string][]) {
    it(`of one ${what} belong to one plugin: the conflict names both`, () => {
      const names = createNameTable();
      register(setUp({ plugin: 'first', names }).app);
      const second = setUp({ plugin: 'second', names });
      assert.throws(() => register(second.app), {
        code: 'plugin_load',
        plugin: 'second',
        message: new RegExp(`^Plugin "second": ${label} belongs to the plugin "first" already`),
      });
      assert.equal(JSON.stringify(summarize(second.bag)), EMPTY);
    });

    it(`of a ${what} are free again once their owner has given them back`, () => {
      const names = createNameTable();
      register(setUp({ plugin: 'first', names }).app);
      names.release('second');
      assert.throws(() => register(setUp({ plugin: 'second', names }).app), { code: 'plugin_load' });
      names.release('first');
      register(setUp({ plugin: 'second', names }).app);
    });
  }

  it('of different kinds do not meet', () => {
    const { app } = setUp();
    app.routingStrategy('x', { select: () => undefined });
    app.provider('x', { chat: () => ({ status: 200, headers: {}, body: '' }) });
  });
});
