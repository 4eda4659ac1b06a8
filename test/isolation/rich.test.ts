import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fromRich, toRich } from '../../src/isolation/channel/rich.ts';

const tag = '\u0000rich';

const { value } = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.string(),
    fc.constant(tag),
    fc.uint8Array(),
    fc.date({ noInvalidDate: true }),
    fc.webUrl().map((href) => new URL(href)),
  ),
  value: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.array(tie('value')),
    fc.array(fc.tuple(tie('value'), tie('value'))).map((entries) => new Map(entries)),
    fc.array(tie('value')).map((members) => new Set(members)),
    fc.dictionary(fc.string(), tie('value'), { noNullPrototype: true }),
  ),
}));

describe('a rich value', () => {
  test('is the same after it has crossed as JSON', () => {
    fc.assert(
      fc.property(value, (before) => {
        // A member of that name is the prototype in an object literal, and in no JSON.
        fc.pre(!JSON.stringify(toRich(before))?.includes('__proto__'));
        assert.deepEqual(fromRich(JSON.parse(JSON.stringify(toRich(before)))), before);
      }),
    );
  });

  for (const refused of [new ArrayBuffer(1), new Float32Array(1), /x/]) {
    test(`is refused with its kind when it would arrive as something else: ${refused.constructor.name}`, () => {
      const expected = {
        name: 'TypeError',
        message: new RegExp(`kind ${refused.constructor.name}, expected`),
      };
      assert.throws(() => toRich({ state: [refused] }), expected);
    });
  }

  test('of a process that lies about a map is refused', () => {
    assert.throws(() => fromRich([tag, 'map', [[1]]]), /entries are no pairs/);
    assert.throws(() => fromRich([tag, 'weakmap', []]), /unknown kind/);
  });
});
