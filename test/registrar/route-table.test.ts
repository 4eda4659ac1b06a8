import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import express, { type Request, type Response } from 'express';
import fc from 'fast-check';
import { PluginLoadError, RouteConflictError } from '../../src/errors.ts';
import {
  findOverlap,
  type PatternKind,
  parsePattern,
  patternsOverlap,
} from '../../src/registrar/path-pattern.ts';
import { createRouteTable, GATEWAY_OWNER } from '../../src/registrar/route-table.ts';

/** Whether Express itself, with a handler at `pattern`, would call it for `path`. */
function expressMatches(pattern: string, path: string, kind: PatternKind = 'route'): boolean {
  const router = express.Router();
  let called = false;
  const handler = (): void => {
    called = true;
  };
  if (kind === 'mount') router.use(pattern, handler);
  else router.all(pattern, handler);
  router({ method: 'GET', url: path } as Request, {} as Response, () => {});
  return called;
}

describe('two paths', () => {
  const table: [a: string, b: string, overlap: boolean][] = [
    ['/x', '/x', true],
    ['/x', '/y', false],
    ['/x', '/X/', true],
    ['/x', '/x/y', false],
    ['/x', '/xy', false],
    ['/x/:id', '/x/new', true],
    ['/x/:id', '/x', false],
    ['/x/:id', '/x/a/b', false],
    ['/x/:id/edit', '/x/:id/show', false],
    ['/:a/b', '/a/:b', true],
    ['/:a/b', '/a/:b/c', false],
    ['/x/:name.json', '/x/:name.xml', false],
    ['/x/:name.json', '/x/:name', true],
    ['/x/:name.json', '/x/a.JSON', true],
    ['/a:x', '/b:x', false],
    ['/*all', '/x', true],
    // Both match `//`.
    ['/*all', '/', true],
    ['/', '/', true],
    ['', '/', true],
    ['/x/*rest', '/x/a/b/c', true],
    ['/x/*rest', '/x', false],
    ['/x{/*rest}', '/x', true],
    ['/*a/end', '/start/*b', true],
    ['/*a.js', '/*b.css', false],
    ['/x{/:id}', '/x', true],
    ['/x{/:id}', '/x/1', true],
    ['/x{/:id}', '/x/1/2', false],
    ['/x{/a}{/b}', '/x/b', true],
    ['/x{/a{/b}}', '/x/b', false],
    ['/x\\:y', '/x\\:y', true],
    ['/x%2Fy', '/x/y', false],
    ['/\u00e9', '/\u00c9', true],
    ['/\u212a', '/k', false],
  ];
  for (const [a, b, overlap] of table) {
    it(`${a || '(empty)'} and ${b || '(empty)'} ${overlap ? 'overlap' : 'do not overlap'}`, () => {
      assert.equal(patternsOverlap(a, b), overlap);
      assert.equal(patternsOverlap(b, a), overlap);
    });
  }

  const part = fc.constantFrom(
    '/',
    '/a',
    '/b',
    'a',
    '.',
    '-',
    '/:p',
    ':q',
    '/*w',
    '{/:o}',
    '{/a}',
    '{b{/c}}',
  );
  const pattern = fc
    .array(part, { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join(''))
    .filter((text) => text.startsWith('/') && isValid(text));
  const path = fc
    .array(fc.constantFrom('/', '/', 'a', 'b', 'A', '.', '-', 'c', 'ab'), { maxLength: 8 })
    .map((parts) => `/${parts.join('')}`);

  it('overlap when Express matches one path with both', () => {
    fc.assert(
      fc.property(pattern, pattern, path, (a, b, text) => {
        if (expressMatches(a, text) && expressMatches(b, text)) assert.ok(patternsOverlap(a, b));
      }),
      { numRuns: 2000 },
    );
  });

  it('overlap for a mount when Express enters it and matches the other', () => {
    fc.assert(
      fc.property(pattern, pattern, path, (a, b, text) => {
        if (!expressMatches(a, text, 'mount') || !expressMatches(b, text)) return;
        assert.notEqual(findOverlap(parsePattern(a, 'mount'), parsePattern(b, 'route')), null);
      }),
      { numRuns: 2000 },
    );
  });

  it('overlap only when there is a path that Express matches with both', () => {
    const simple = pattern.filter((text) => (text.match(/[:*]/g)?.length ?? 0) <= 1);
    fc.assert(
      fc.property(simple, simple, (a, b) => {
        const example = findOverlap(parsePattern(a, 'route'), parsePattern(b, 'route'));
        if (example === null) return;
        assert.ok(expressMatches(a, example), `${a} and ${b}: ${example}`);
        assert.ok(expressMatches(b, example), `${a} and ${b}: ${example}`);
      }),
      { numRuns: 1000 },
    );
  });

  it('overlap in what a request can have for a path alone', () => {
    const overlap = (a: string, b: string): string | null =>
      findOverlap(parsePattern(a, 'route'), parsePattern(b, 'route'));
    assert.equal(overlap('//', '//'), '/');
    assert.equal(overlap('', '{/x}'), '/');
    // Both would match `x/a`, which is no path.
    assert.equal(overlap('{x/a}{/b}', '{x}/a'), null);
  });

  it('are compared in a moment, however many optional parts they have', () => {
    const optional = '{/a}'.repeat(8);
    assert.equal(patternsOverlap(`/x${optional}/end`, `/x${optional}/:last`), true);
    assert.equal(patternsOverlap(`${'/:p'.repeat(200)}/end`, `${'/:p'.repeat(200)}/other`), false);
  });

  for (const wrong of ['/x(y)', '/x?', '/:', '/*', '/{x', '/:a:b', '/[x]', '/x+']) {
    it(`are refused with the reason when one is ${wrong}`, () => {
      assert.throws(
        () => patternsOverlap(wrong, '/x'),
        (error) => {
          assert.ok(error instanceof PluginLoadError);
          assert.ok(
            error.message.includes(JSON.stringify(wrong)) && !error.message.includes('visit'),
            error.message,
          );
          return true;
        },
      );
    });
  }

  it('are refused when no request can match them', () => {
    assert.throws(
      () => patternsOverlap('hello', '/x'),
      /"hello" can match no request: it has to begin with "\/"/,
    );
    assert.throws(() => patternsOverlap(/x/ as unknown as string, '/x'), /saw a RegExp/);
  });
});

describe('the route table', () => {
  const claim = (method: string, path: string | string[], owner: string, kind: PatternKind = 'route') =>
    ({ method, path, owner, kind }) as const;

  it('names both owners, both paths and an example in a conflict', () => {
    const routes = createRouteTable();
    routes.claim(claim('get', '/x/:id', 'a'));
    assert.throws(
      () => routes.claim(claim('get', '/x/new', 'b')),
      (error) => {
        assert.ok(error instanceof RouteConflictError);
        assert.equal(error.code, 'route_conflict');
        assert.equal(error.plugin, 'b');
        assert.match(
          error.message,
          /GET \/x\/new of plugin "b".+GET \/x\/:id of plugin "a" answers \/x\/new too/,
        );
        return true;
      },
    );
  });

  it('guards the paths of the gateway', () => {
    const routes = createRouteTable();
    routes.claim(claim('all', ['/healthz', '/v1/*rest'], GATEWAY_OWNER));
    routes.claim(claim('all', '/admin', GATEWAY_OWNER, 'mount'));
    for (const path of ['/healthz/', '/HEALTHZ', '/v1/models', '/:any', '/*all', '/admin', '/admin/x/y']) {
      assert.throws(() => routes.claim(claim('get', path, 'a')), /of the gateway/, path);
    }
    for (const path of ['/health', '/v2/models', '/adminx', '/a/:x']) routes.claim(claim('get', path, 'a'));
  });

  it('takes a plugin that is named "gateway" for no more than a plugin', () => {
    const routes = createRouteTable();
    routes.claim(claim('get', '/healthz', GATEWAY_OWNER));
    assert.throws(() => routes.claim(claim('get', '/healthz', 'gateway')), RouteConflictError);
  });

  const methods: [a: string, b: string, meet: boolean][] = [
    ['get', 'get', true],
    ['get', 'GET', true],
    ['get', 'post', false],
    ['all', 'post', true],
    ['head', 'get', true],
    ['head', 'post', false],
    ['options', 'get', false],
  ];
  for (const [a, b, meet] of methods) {
    it(`${meet ? 'refuses' : 'admits'} ${b} of one plugin beside ${a} of another at the same path`, () => {
      for (const [first, second] of [
        [a, b],
        [b, a],
      ] as const) {
        const routes = createRouteTable();
        routes.claim(claim(first, '/x', 'a'));
        const again = (): void => routes.claim(claim(second, '/x', 'b'));
        if (meet) assert.throws(again, RouteConflictError);
        else again();
      }
    });
  }

  it('lets an owner overlap itself', () => {
    const routes = createRouteTable();
    routes.claim(claim('get', '/x/new', 'a'));
    routes.claim(claim('get', '/x/:id', 'a'));
    routes.claim(claim('all', '/x', 'a', 'mount'));
  });

  const mounts: [mount: string, path: string, conflict: boolean][] = [
    ['/x', '/x', true],
    ['/x', '/x/y/z', true],
    ['/x', '/xy', false],
    ['/x/', '/X/y', true],
    ['/', '/anything/at/all', true],
    ['/:tenant/api', '/acme/api/v1', true],
    ['/:tenant/api', '/acme/apis', false],
  ];
  for (const [mount, path, conflict] of mounts) {
    it(`${conflict ? 'refuses' : 'admits'} ${path} beside a mount at ${mount}`, () => {
      const routes = createRouteTable();
      routes.claim(claim('get', mount, 'a', 'mount'));
      const again = (): void => routes.claim(claim('post', path, 'b'));
      if (conflict) assert.throws(again, /the mount/);
      else again();
    });
  }

  it('takes all paths of a claim or none', () => {
    const routes = createRouteTable();
    routes.claim(claim('get', '/taken', 'a'));
    assert.throws(() => routes.claim(claim('get', ['/free', '/taken'], 'b')), RouteConflictError);
    routes.claim(claim('get', '/free', 'c'));
  });

  it('has nothing left of an owner that was released', () => {
    const routes = createRouteTable();
    routes.claim(claim('get', '/x', 'a'));
    routes.claim(claim('get', '/y', 'b'));
    routes.release('a');
    routes.claim(claim('get', '/x', 'c'));
    assert.throws(() => routes.claim(claim('get', '/y', 'c')), RouteConflictError);
  });
});

function isValid(pattern: string): boolean {
  try {
    parsePattern(pattern, 'route');
    return true;
  } catch {
    return false;
  }
}
