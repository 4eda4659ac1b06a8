import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PluginDependencyError } from '../../src/errors.ts';
import { explainOrder } from '../../src/order/explain.ts';
import { type OrderNode, resolveOrder } from '../../src/order/order.ts';

type Dependency = string | { name: string; version?: string; optional?: boolean };

function plugin(name: string, dependsOn: Dependency[] = [], more: Partial<OrderNode> = {}): OrderNode {
  return {
    name,
    version: '1.0.0',
    priority: 1000,
    dependsOn: dependsOn.map((dependency) => ({
      version: '*',
      optional: false,
      ...(typeof dependency === 'string' ? { name: dependency } : dependency),
    })),
    ...more,
  };
}

function order(...nodes: OrderNode[]): readonly string[] {
  return resolveOrder(nodes).names;
}

function refusal(...nodes: OrderNode[]): PluginDependencyError {
  try {
    resolveOrder(nodes);
  } catch (error) {
    assert.ok(error instanceof PluginDependencyError);
    assert.equal(error.code, 'plugin_dependency');
    assert.ok(!error.message.includes('\n'), 'stderr gets one line');
    return error;
  }
  assert.fail('expected a PluginDependencyError');
}

describe('Dependencies', () => {
  it('starts a plugin after all it depends on, whatever their priorities', () => {
    const app = plugin('app', ['base', 'keys'], { priority: 1 });
    assert.deepEqual(order(app, plugin('keys', ['base']), plugin('base')), ['base', 'keys', 'app']);
  });

  it('shows the path of a cycle', () => {
    const error = refusal(plugin('x', ['b']), plugin('b', ['a']), plugin('a', ['b']), plugin('free'));
    assert.match(error.message, /cycle: a -> b -> a$/);
    assert.deepEqual(error.path, ['a', 'b', 'a']);
  });

  it('follows the dependencies in the path of a longer cycle', () => {
    assert.match(
      refusal(plugin('a', ['c']), plugin('b', ['a']), plugin('c', ['b'])).message,
      /a -> c -> b -> a$/,
    );
  });

  it('shows a plugin that depends on itself', () => {
    assert.deepEqual(refusal(plugin('a', ['a'])).path, ['a', 'a']);
  });

  it('names a cycle through an optional dependency too', () => {
    const error = refusal(plugin('a', [{ name: 'b', optional: true }]), plugin('b', ['a']));
    assert.match(error.message, /a -> b -> a/);
  });

  it('names both sides of a dependency that nobody provides', () => {
    const error = refusal(plugin('app', ['base']));
    assert.match(error.message, /"app" depends on "base", which no plugin provides/);
    assert.deepEqual(error.path, ['app', 'base']);
  });

  it('does without an optional dependency that is absent', () => {
    assert.deepEqual(order(plugin('app', [{ name: 'base', optional: true }])), ['app']);
  });

  it('orders by an optional dependency that is present', () => {
    assert.deepEqual(order(plugin('app', [{ name: 'base', optional: true }]), plugin('base')), [
      'base',
      'app',
    ]);
  });

  for (const optional of [false, true]) {
    it(`refuses a version out of range, optional: ${optional}`, () => {
      const app = plugin('app', [{ name: 'base', version: '^2', optional }]);
      const { message } = refusal(app, plugin('base'));
      for (const part of ['"app"', '"base"', '"^2"', '"1.0.0"']) assert.ok(message.includes(part), message);
    });
  }

  it('refuses a range that is none', () => {
    assert.match(refusal(plugin('a', [{ name: 'b', version: 'newest' }]), plugin('b')).message, /"newest"/);
  });

  const versions: [range: string, version: string | null, accepted: boolean][] = [
    ['^1', '1.9.0', true],
    ['^1', '2.0.0', false],
    ['^2', '2.0.0-rc.1', false],
    ['>=2.0.0-rc.0', '2.0.0-rc.1', true],
    ['*', '2.0.0-rc.1', true],
    ['', '2.0.0-rc.1', true],
    ['1 || 3', '3.1.4', true],
    ['^1', null, true],
    ['^1', 'one', false],
  ];
  for (const [range, version, accepted] of versions) {
    it(`${accepted ? 'accepts' : 'refuses'} version ${version} for the range "${range}"`, () => {
      const nodes = [plugin('app', [{ name: 'base', version: range }]), plugin('base', [], { version })];
      if (accepted) assert.deepEqual(order(...nodes), ['base', 'app']);
      else refusal(...nodes);
    });
  }

  it('reports every problem together', () => {
    const { message } = refusal(plugin('a', ['b', 'gone']), plugin('b', ['a']), plugin('c', ['lost']));
    for (const part of ['"gone"', '"lost"', 'a -> b -> a']) assert.ok(message.includes(part), message);
  });

  it('takes a dependency that is written twice as one', () => {
    assert.deepEqual(order(plugin('app', ['base', 'base']), plugin('base')), ['base', 'app']);
    assert.equal(refusal(plugin('app', ['x', 'x'])).message.match(/depends/g)?.length, 1);
  });

  it('takes names that objects inherit as ordinary names', () => {
    const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty', '0', ''];
    const chain = names.map((name, index) => plugin(name, names.slice(index + 1, index + 2)));
    assert.deepEqual(order(...chain), names.toReversed());
    assert.match(refusal(plugin('a', ['constructor'])).message, /"constructor", which no plugin provides/);
  });

  it('refuses two plugins of one name', () => {
    assert.match(refusal(plugin('a'), plugin('a')).message, /two plugins are named "a"/);
  });
});

describe('Priority', () => {
  it('loads the lower number first when there are no dependencies between plugins', () => {
    const nodes = [
      plugin('late'),
      plugin('early', [], { priority: 10 }),
      plugin('first', [], { priority: -5 }),
    ];
    assert.deepEqual(order(...nodes), ['first', 'early', 'late']);
  });

  it('decides anew whenever a plugin becomes ready', () => {
    const nodes = [
      plugin('last', [], { priority: 2000 }),
      plugin('base', [], { priority: 1000 }),
      plugin('urgent', ['base'], { priority: 1 }),
      plugin('other', [], { priority: 1500 }),
    ];
    assert.deepEqual(order(...nodes), ['base', 'urgent', 'other', 'last']);
  });

  it('falls back on the order of discovery', () => {
    assert.deepEqual(order(plugin('z'), plugin('a'), plugin('m')), ['z', 'a', 'm']);
  });
});

describe('Load Order', () => {
  /** Random plugins: each may depend on any that comes earlier in a hidden order, so that there is no cycle. */
  const acyclic = fc
    .array(
      fc.record({ priority: fc.integer({ min: 0, max: 3 }), picks: fc.array(fc.nat(), { maxLength: 4 }) }),
      {
        maxLength: 25,
      },
    )
    .chain((specs) => {
      const nodes = specs.map(({ priority, picks }, index) => {
        const dependsOn = index === 0 ? [] : picks.map((pick) => `p${pick % index}`);
        return plugin(`p${index}`, dependsOn, { priority });
      });
      return fc.shuffledSubarray(nodes, { minLength: nodes.length });
    });

  it('is what scanning for the best ready plugin, over and over, gives', () => {
    fc.assert(fc.property(acyclic, (nodes) => assert.deepEqual(order(...nodes), referenceOrder(nodes))));
  });

  it('does not depend on the order of discovery when priorities differ', () => {
    const distinct = acyclic.map((nodes) =>
      nodes.map((node) => ({ ...node, priority: (Number(node.name.slice(1)) * 7) % 26 })),
    );
    const pairs = distinct.chain((nodes) =>
      fc.tuple(fc.constant(nodes), fc.shuffledSubarray(nodes, { minLength: nodes.length })),
    );
    fc.assert(fc.property(pairs, ([one, other]) => assert.deepEqual(order(...one), order(...other))));
  });

  it('refuses the same graphs with the same words, whatever the order of discovery', () => {
    const cyclic = fc
      .array(fc.array(fc.nat({ max: 9 }), { maxLength: 3 }), { minLength: 10, maxLength: 10 })
      .map((lists) =>
        lists.map((list, index) =>
          plugin(
            `p${index}`,
            list.map((to) => `p${to}`),
          ),
        ),
      )
      .chain((nodes) =>
        fc.tuple(fc.constant(nodes), fc.shuffledSubarray(nodes, { minLength: nodes.length })),
      );
    fc.assert(
      fc.property(cyclic, ([one, other]) => {
        const path = cyclePath(one);
        assert.deepEqual(path, cyclePath(other));
        if (path !== null) assertIsCycle(path, one);
        else assert.equal(order(...one).length, 10);
      }),
    );
  });

  it('orders ten thousand plugins in a chain', () => {
    const nodes = Array.from({ length: 10_000 }, (_, index) =>
      plugin(`p${index}`, index === 0 ? [] : [`p${index - 1}`]),
    );
    assert.equal(order(...nodes.toReversed())[9_999], 'p9999');
  });

  it('is frozen', () => {
    const resolved = resolveOrder([plugin('a')]);
    assert.ok(
      Object.isFrozen(resolved) && Object.isFrozen(resolved.names) && Object.isFrozen(resolved.steps),
    );
  });

  it('explains each place in one sentence', () => {
    const nodes = [
      plugin('app', ['base', { name: 'gone', optional: true }]),
      plugin('zeta'),
      plugin('base', [], { priority: 10 }),
      plugin('beta', ['app', 'zeta']),
    ];
    assert.deepEqual(explainOrder(resolveOrder(nodes)), [
      {
        name: 'base',
        place: 1,
        reason:
          'It depends on no other plugin; it goes before "zeta", because its priority 10 is lower than 1000.',
      },
      {
        name: 'app',
        place: 2,
        reason:
          'It starts after "base", on which it depends; it goes before "zeta", which has the same priority 1000 but was discovered later.',
      },
      {
        name: 'zeta',
        place: 3,
        reason:
          'It depends on no other plugin; no other plugin was ready at that point (priority 1000, discovered 2nd).',
      },
      {
        name: 'beta',
        place: 4,
        reason:
          'It starts after "app", "zeta", on which it depends; no other plugin was ready at that point (priority 1000, discovered 4th).',
      },
    ]);
  });
});

/** The order by its definition, quadratic: take the best plugin of those whose dependencies are all placed. */
function referenceOrder(nodes: readonly OrderNode[]): string[] {
  const placed: string[] = [];
  const open = [...nodes];
  while (open.length > 0) {
    const ready = open.filter((node) => node.dependsOn.every(({ name }) => placed.includes(name)));
    const best = ready.reduce((least, node) => (node.priority < least.priority ? node : least));
    placed.push(best.name);
    open.splice(open.indexOf(best), 1);
  }
  return placed;
}

function cyclePath(nodes: OrderNode[]): readonly string[] | null {
  try {
    resolveOrder(nodes);
    return null;
  } catch (error) {
    assert.ok(error instanceof PluginDependencyError);
    return error.path;
  }
}

function assertIsCycle(path: readonly string[], nodes: readonly OrderNode[]): void {
  assert.equal(path[0], path.at(-1));
  assert.equal(new Set(path).size, path.length - 1);
  for (const [index, name] of path.slice(0, -1).entries()) {
    const node = nodes.find((candidate) => candidate.name === name);
    assert.ok(node?.dependsOn.some((dependency) => dependency.name === path[index + 1]));
  }
}
