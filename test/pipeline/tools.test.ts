import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { compileTools } from '../../src/pipeline/tools.ts';
import type { ToolsPhase } from '../../src/pipeline/types.ts';
import type { Identity } from '../../src/plugin-api/auth.ts';
import type { ToolRuntime } from '../../src/plugin-api/tools.ts';
import { kinds } from '../containment/support.ts';
import {
  createGate,
  createMember,
  FAILURES,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

const SCHEMA = { type: 'object' };
const CALL = { id: 'req-1', identity: null, signal: new AbortController().signal };

function running(name: string, runtime: Record<string, unknown>, options?: MemberOptions): TestMember {
  const whole = {
    listTools: () => [{ name, inputSchema: SCHEMA }],
    callTool: (tool: string) => ({ content: [{ type: 'text', text: `${name} ran ${tool}` }] }),
    ...runtime,
  } as unknown as ToolRuntime;
  return createMember(name, (bag) => void bag.toolRuntimes.push(whole), options);
}

function compile(...members: TestMember[]): ToolsPhase {
  return compileTools(new Containment(), members);
}

async function names(phase: ToolsPhase): Promise<string[]> {
  return (await phase.list(null)).map(({ name }) => name);
}

async function textOf(phase: ToolsPhase, name: string): Promise<string> {
  const { content, isError } = await phase.call(name, {}, CALL, null);
  return `${isError === true ? 'error: ' : ''}${String(content[0]?.text)}`;
}

describe('the list of tools', () => {
  it('is empty without runtimes', async () => {
    assert.deepEqual(await compile(createMember('a', () => undefined)).list(null), []);
  });

  it('has the tools of all runtimes in load order; of one name the first', async () => {
    const phase = compile(
      running('a', {}),
      running('b', {
        listTools: async () => [
          { name: 'a', inputSchema: SCHEMA },
          { name: 'b', inputSchema: SCHEMA },
        ],
      }),
    );
    assert.deepEqual(await names(phase), ['a', 'b']);
    assert.equal(await textOf(phase, 'a'), 'a ran a');
  });

  for (const [how, fail, kind] of FAILURES) {
    it(`leaves out a runtime that ${how}, and counts it`, async () => {
      const bad = running('bad', { listTools: fail }, { callTimeoutMs: 10 });
      assert.deepEqual(await names(compile(bad, running('good', {}))), ['good']);
      assert.deepEqual(kinds(bad.owner), [`tool ${kind}`]);
    });
  }

  for (const garbage of [
    undefined,
    null,
    'x',
    {},
    [null],
    [7],
    [{}],
    [{ name: '' }],
    [{ name: 'x', inputSchema: null }],
    [{ name: 'x', inputSchema: [] }],
    [{ name: 'x', inputSchema: { type: 'string' } }],
    [{ name: 'x', description: 7 }],
  ]) {
    it(`leaves out a runtime that lists ${JSON.stringify(garbage)}`, async () => {
      const bad = running('bad', { listTools: () => garbage });
      assert.deepEqual(await names(compile(bad, running('good', {}))), ['good']);
      assert.deepEqual(kinds(bad.owner), ['tool invalid']);
    });
  }

  it('gives a tool without a schema one that takes any arguments', async () => {
    const [tool] = await compile(running('a', { listTools: () => [{ name: 'x' }] })).list(null);
    assert.deepEqual(tool, { name: 'x', inputSchema: { type: 'object' } });
  });

  it('leaves out the tools of a quarantined plugin, unless a trial is due', async () => {
    assert.deepEqual(await names(compile(running('a', {}, { gate: createGate(false) }), running('b', {}))), [
      'b',
    ]);
    const gate = createGate(true);
    assert.deepEqual(await names(compile(running('a', {}, { gate }))), ['a']);
    assert.deepEqual(gate.trials, [true]);
  });
});

describe('the tools of an identity', () => {
  const phase = compile(
    running('a', {
      listTools: () => ['read', 'read_all', 'write', 'a.b.c', 'x*y'].map((name) => ({ name })),
    }),
  );

  for (const [tools, allowed] of [
    [undefined, ['read', 'read_all', 'write', 'a.b.c', 'x*y']],
    [['*'], ['read', 'read_all', 'write', 'a.b.c', 'x*y']],
    [[], []],
    [['read'], ['read']],
    [['read*'], ['read', 'read_all']],
    [['*e'], ['write']],
    [['a*b*c'], ['a.b.c']],
    [['r*d*l'], ['read_all']],
    [['readx*', '*xread', 'a*a', 'w*rite*e'], []],
    [['.*', 'wr.te'], []],
    ['read', []],
    [null, []],
    [[null, 7, 'write'], ['write']],
  ] as const) {
    it(`with the claim ${JSON.stringify(tools)} are ${JSON.stringify(allowed)}`, async () => {
      const identity = { id: 'ada', ...(tools === undefined ? {} : { tools }) } as Identity;
      assert.deepEqual(
        (await phase.list(identity)).map(({ name }) => name),
        allowed,
      );
      for (const name of ['read', 'read_all', 'write', 'a.b.c', 'x*y']) {
        const isAllowed = (allowed as readonly string[]).includes(name);
        assert.equal((await phase.find(name, identity)) !== null, isAllowed, name);
        const { isError = false } = await phase.call(name, {}, { ...CALL, identity }, null);
        assert.equal(isError, !isAllowed, name);
      }
    });
  }
});

describe('the arguments of a tool call', () => {
  const calling = (inputSchema: unknown): ToolsPhase =>
    compile(running('a', { listTools: () => [{ name: 'a', inputSchema }], callTool: () => 'called' }));
  const text = async (phase: ToolsPhase, args: Record<string, unknown>): Promise<string> =>
    String((await phase.call('a', args, CALL, null)).content[0]?.text);

  for (const [what, schema] of [
    ['2020-12', { properties: { list: { prefixItems: [{ type: 'string' }] } } }],
    [
      '2020-12 by name',
      {
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        properties: { list: { prefixItems: [{ type: 'string' }] } },
      },
    ],
    [
      'draft 7',
      {
        $schema: 'http://json-schema.org/draft-07/schema#',
        properties: { list: { items: [{ type: 'string' }] } },
      },
    ],
  ] as const) {
    it(`have to fit a schema of ${what}`, async () => {
      const phase = calling({ type: 'object', ...schema });
      assert.equal(await text(phase, { list: ['x'] }), 'called');
      assert.equal(
        await text(phase, { list: [1] }),
        'Invalid arguments for the tool "a": "list/0" must be string',
      );
    });
  }

  it('are not looked at where the schema has unknown keywords and formats', async () => {
    const phase = calling({ properties: { at: { type: 'string', format: 'moon-phase', 'x-hint': 1 } } });
    assert.equal(await text(phase, { at: 'new' }), 'called');
  });

  it('of a tool whose schema is none are a tool error that says so', async () => {
    assert.match(
      await text(calling({ properties: 7 }), {}),
      /^The tool "a" has an inputSchema that cannot be used: /,
    );
    const remote = calling({ properties: { a: { $ref: 'https://example.com/schema.json' } } });
    assert.match(await text(remote, {}), /cannot be used: can't resolve reference/);
  });

  it('follow the schema when it changes', async () => {
    let type = 'string';
    const phase = compile(
      running('a', {
        listTools: () => [{ name: 'a', inputSchema: { properties: { x: { type } } } }],
        callTool: () => 'called',
      }),
    );
    assert.equal(await text(phase, { x: 'one' }), 'called');
    type = 'number';
    await phase.list(null);
    assert.match(await text(phase, { x: 'one' }), /"x" must be number/);
  });
});

describe('a tool call', () => {
  it('goes to the runtime that has the tool, with arguments and circumstances', async () => {
    let seen: unknown[] = [];
    const phase = compile(
      running('a', {}),
      running('b', {
        callTool: (...values: unknown[]) => {
          seen = values;
          return { content: [], structuredContent: { n: 1 } };
        },
      }),
    );
    assert.deepEqual(await phase.call('b', { x: 1 }, CALL, null), {
      content: [],
      structuredContent: { n: 1 },
    });
    assert.deepEqual(seen, ['b', { x: 1 }, CALL]);
  });

  it('for a tool that nobody has is a tool error', async () => {
    assert.equal(
      await textOf(compile(running('a', {})), 'constructor'),
      'error: There is no tool "constructor"',
    );
  });

  for (const [how, fail, kind] of FAILURES) {
    it(`that ${how} is a tool error without detail, and counted`, async () => {
      const bad = running('bad', { callTool: fail }, { callTimeoutMs: 10 });
      assert.equal(await textOf(compile(bad), 'bad'), 'error: The tool "bad" failed');
      assert.deepEqual(kinds(bad.owner), [`tool ${kind}`]);
    });
  }

  it('that is refused with a 4xx is a tool error, and no failure', async () => {
    const refuses = running('a', { callTool: () => Promise.reject(refusal(404)) });
    assert.equal(await textOf(compile(refuses), 'a'), 'error: The tool "a" failed');
    assert.deepEqual(refuses.owner.failures, []);
  });

  for (const garbage of [undefined, null, 7, {}, { content: 'text' }]) {
    it(`answered with ${JSON.stringify(garbage)} is a tool error`, async () => {
      const bad = running('bad', { callTool: () => garbage });
      assert.equal(await textOf(compile(bad), 'bad'), 'error: The tool "bad" failed');
      assert.deepEqual(kinds(bad.owner), ['tool invalid']);
    });
  }

  it('answered with a text is a result of that text', async () => {
    const result = await compile(running('a', { callTool: () => 'done' })).call('a', {}, CALL, null);
    assert.deepEqual(result, { content: [{ type: 'text', text: 'done' }] });
  });

  it('to a plugin that has been quarantined since is a tool error', async () => {
    let due = true;
    const gate = { ...createGate(true), begin: () => due };
    const phase = compile(running('a', {}, { gate }));
    await phase.list(null);
    due = false;
    assert.equal(await textOf(phase, 'a'), 'error: The tool "a" failed');
  });
});
